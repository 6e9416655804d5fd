"""Values, dicts, objects and calls of a file and of its project."""
