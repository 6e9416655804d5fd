"""A file as text: decoding, positions, notebooks, magics, and the words that decide whether it is parsed at all."""
