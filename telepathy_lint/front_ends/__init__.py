"""The same findings for other programs: flake8, LibCST codemods, editors, Python code."""
