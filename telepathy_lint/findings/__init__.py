"""The plain data that travels between the stages."""
