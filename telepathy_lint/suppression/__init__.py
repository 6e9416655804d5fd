"""Comments that suppress findings: reading, adding and removing them."""
