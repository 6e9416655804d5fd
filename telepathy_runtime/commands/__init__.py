"""The commands of `telepathy-runtime`."""
