"""Turns the findings of rules into new text: changes, edits, imports."""
