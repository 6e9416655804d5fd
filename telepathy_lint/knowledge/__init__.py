"""Facts about transformers and its releases, as plain tables."""
