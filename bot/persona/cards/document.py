"""A character card's JSON: how much of it is read."""

from __future__ import annotations

from bot.documents import Bounds
from bot.errors import TableError


class CardError(TableError):
    """A character card cannot be used as it is: one sentence for the one who brought it."""


DOCUMENT = Bounds("card", CardError, size=4 * 1024 * 1024, parts=200_000)
