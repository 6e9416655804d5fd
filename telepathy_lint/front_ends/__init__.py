"""Front-ends of the linter: flake8, LibCST codemods, editors, Python API."""
