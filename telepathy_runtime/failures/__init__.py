"""Explains why a load failed, and what to do about it."""
