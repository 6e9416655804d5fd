"""The linter in other programs: flake8, LibCST codemods, editors, Python code."""
