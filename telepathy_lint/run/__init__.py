"""Many files: options, processes, results, writing."""
