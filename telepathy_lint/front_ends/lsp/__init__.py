"""The parts of the language server; `telepathy_lint.front_ends.language_server` puts them together."""
