"""The parts of the language server; `telepathy_lint.language_server` puts them together."""
