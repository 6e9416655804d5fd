"""Reads the headers of checkpoints on disk."""
