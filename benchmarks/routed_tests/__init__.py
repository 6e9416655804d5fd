"""Runs the loading tests of other projects unchanged, and with all loads routed through load_model."""
