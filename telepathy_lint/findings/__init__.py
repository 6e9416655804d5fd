"""The plain data that is passed between the stages."""
