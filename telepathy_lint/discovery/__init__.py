"""Which files to lint, and with which configuration."""
