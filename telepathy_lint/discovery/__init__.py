"""Finds the files to lint and their configuration."""
