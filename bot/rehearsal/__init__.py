"""Discord on loopback, and a terminal to play there."""
