"""Plans a load, carries it out, inspects the model, and reports it."""
