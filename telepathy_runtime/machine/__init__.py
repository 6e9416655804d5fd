"""Information about the machine: accelerators, launchers, caches."""
