"""What went wrong in a load, and what to do about it."""
