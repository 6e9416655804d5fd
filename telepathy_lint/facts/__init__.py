"""Questions about sites, answered when they are asked."""
