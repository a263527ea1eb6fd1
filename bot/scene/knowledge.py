"""What the table knows: what is pinned, what is kept secret, who may know what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.prompt.tokens import EstimatingCounter
from bot.store import knowledge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.store.store import Store

# What is pinned takes an eighth of the context at most, and what is secret another one: the story needs room.
SHARE = 8


async def standing(
    store: Store, scene_id: int, context_length: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give what is pinned in a scene, and what is secret, for the prompt's head: the latest that fits."""
    async with store.read() as connection:
        pins = [pin.text for pin in await knowledge.pins_of(connection, scene_id)]
        secrets = [secret.text for secret in await knowledge.secrets_of(connection, scene_id)]
    room = context_length // SHARE
    return _latest(pins, room), _latest(secrets, room)


def _latest(texts: Sequence[str], room: int) -> tuple[str, ...]:
    """Give the last of the texts that take up to `room` tokens together, in their order."""
    tokens = EstimatingCounter().count
    first = len(texts)
    while first and (room := room - tokens(f"- {texts[first - 1]}\n")) >= 0:
        first -= 1
    return tuple(texts[first:])
