"""A lorebook's JSON: how much of it is read."""

from __future__ import annotations

from bot.documents import Bounds
from bot.prompt.lore.formats import LoreError

LOREBOOK = Bounds("lorebook", LoreError, size=12 * 1024 * 1024, parts=800_000)
