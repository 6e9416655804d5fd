"""From what rules reported to new text: changes, edits, imports."""
