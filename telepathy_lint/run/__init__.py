"""Runs over many files: options, processes, results and writing."""
