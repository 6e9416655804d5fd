"""Checkpoints on disk, read from their headers."""
