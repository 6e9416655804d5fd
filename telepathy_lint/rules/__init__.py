"""One file a rule; `ls` is the index and adding a file adds the rule."""
