"""Suppression comments: reading, adding and removing them."""
