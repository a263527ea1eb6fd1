"""`hearthside replay`: the prompt of an answer, byte for byte, out of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import SetupError, TableError
from bot.prompt.replay import Rebuilt, prompt_json
from bot.scene import inside
from bot.store.store import Store

if TYPE_CHECKING:
    from bot.settings import Settings


async def replay(settings: Settings, message: str) -> Rebuilt:
    """Rebuild the prompt of the answer that a message shows, named by its id or its link.

    Raises TableError if it shows no answer, SetupError if there is no database.
    """
    message_id = message.strip().rpartition("/")[2]
    if not (message_id.isascii() and message_id.isdecimal() and len(message_id) < 20):
        raise TableError(f"“{message[:80]}” is neither the id of a message nor a link to it.")
    if not settings.database_path.exists():
        raise SetupError(
            f"There is no database {settings.database_path}.", hint="Point DATABASE_URL to the bot's."
        )
    store = await Store.open(settings.database_path)
    try:
        return await inside.replay(store, int(message_id))
    finally:
        await store.aclose()


def verdict(rebuilt: Rebuilt) -> str:
    """Say whether a rebuilt prompt is the one that was sent."""
    if rebuilt.identical:
        return "identical: these are the messages that the model was sent, the hash is the same."
    return "\n".join(["different: the hash is not that of what the model was sent.", *rebuilt.causes])


def as_json(rebuilt: Rebuilt) -> str:
    """Write the messages for people and programs."""
    return prompt_json(rebuilt.messages, indent=2)
