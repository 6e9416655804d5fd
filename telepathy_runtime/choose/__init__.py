"""The choices of a load, each with its reason."""
