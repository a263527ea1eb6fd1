"""Hearthside: a dungeon master and every other character, on a language model you run yourself."""

__version__ = "0.1.0"
