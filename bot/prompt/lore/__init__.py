"""Lorebooks: what the world knows, told when the story touches it. No I/O, no Discord, no clock."""
