"""Source files as text: decoding, positions, notebooks, magics, and the words that decide whether a file is parsed."""
