"""Analyses a file and its project: values, dicts, objects and calls."""
