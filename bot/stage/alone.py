"""An answer that one member alone sees: it is sent by the token of the command that asked for it."""

from __future__ import annotations

import discord

from bot.clock import Clock
from bot.scene.ports import Speaker
from bot.stage.clean import Cleaner, shown_name
from bot.stage.refusals import StageError, UnreachableError, reaching
from bot.stage.split import MESSAGE_LIMIT, split

ATTEMPTS = 4


class PrivateUtterance:
    """What a persona says to one member. It comes whole: what streams into a channel would be seen by all.

    `token` is that of the interaction; Discord takes it for 15 minutes.
    """

    def __init__(
        self, client: discord.Client, clock: Clock, cleaner: Cleaner, speaker: Speaker, token: str
    ) -> None:
        self._client = client
        self._clock = clock
        self._cleaner = cleaner
        self._head = f"**{discord.utils.escape_markdown(shown_name(speaker.name))}**\n"
        self._token = token

    def write(self, text: str) -> None:
        """Show nothing yet."""

    async def finish(self, text: str) -> tuple[int, ...]:
        """Send the whole answer. No message of it stands in the channel, so there are no ids to give.

        Raises StageError where Discord does not take it (any more).
        """
        for part in split(self._cleaner.clean(text), MESSAGE_LIMIT - len(self._head)):
            await self._send(self._head + part)
        return ()

    async def halt(self) -> None:
        """Stop nothing: it comes whole or not at all."""

    async def retract(self) -> None:
        """Take back nothing: nothing was shown."""

    async def _send(self, text: str) -> None:
        route = discord.http.Route(
            "POST",
            "/webhooks/{webhook_id}/{webhook_token}",
            webhook_id=self._client.application_id or 0,
            webhook_token=self._token,
        )
        body = {
            "content": text,
            "flags": discord.MessageFlags(ephemeral=True, suppress_embeds=True).value,
            "allowed_mentions": {"parse": []},
        }
        for attempt in range(ATTEMPTS):
            try:
                async with reaching():
                    await self._client.http.request(route, json=body)
            except UnreachableError as error:
                if attempt == ATTEMPTS - 1:
                    raise StageError("Discord does not answer.") from error
                await self._clock.sleep(2.0**attempt)
            except discord.HTTPException as error:
                raise StageError(f"Discord does not take the answer any more ({error.code}).") from error
            else:
                return
