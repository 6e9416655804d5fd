"""A load: planned, carried out, inspected, reported."""
