"""Other projects' own loading tests, run as they are and with every load sent through load_model."""
