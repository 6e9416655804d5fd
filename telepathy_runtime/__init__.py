"""Loading Hugging Face models the same way everywhere: placement, precision, attention, generation, memory."""
