"""The machine: accelerators, launchers, caches."""
