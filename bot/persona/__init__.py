"""A character: its file, the macros in its words, and the shelf that holds them all."""
