"""The bot as Discord knows it: one client, its commands, and what happens when something goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

import discord
import structlog
import yarl
from discord import app_commands
from discord.ext import commands
from discord.gateway import DiscordWebSocket

from bot.errors import HearthsideError
from bot.store import log, scenes

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bot.clock import Clock
    from bot.store.store import Store

COMMANDS_FACT = "commands"


class Tree(app_commands.CommandTree["Hearthside"]):
    """The slash commands. Each one ends visibly, whatever happens in it."""

    async def interaction_check(self, interaction: discord.Interaction[Hearthside]) -> bool:
        """Let an interaction pass once: a resumed session may bring it again."""
        return await interaction.client.claims(interaction.id)

    async def on_error(
        self, interaction: discord.Interaction[Hearthside], error: app_commands.AppCommandError
    ) -> None:
        """Tell the one who typed a command why it did not work."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        await whisper(interaction, explain(cause, where=f"/{_name(interaction)}"))


class Hearthside(commands.AutoShardedBot):
    """The Discord client. What it does is in the cogs that it is furnished with."""

    def __init__(self, store: Store, clock: Clock, *, listen: bool) -> None:
        intents = discord.Intents(
            guilds=True,
            guild_messages=True,
            dm_messages=True,
            guild_typing=True,
            message_content=listen,
        )
        super().__init__(
            command_prefix=commands.when_mentioned,
            tree_cls=Tree,
            help_command=None,
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            # What a scene needs is in the store; thousands of servers would not fit into memory.
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            # Nothing waits for the list of servers to be complete, so "ready" need not either.
            guild_ready_timeout=0.2,
        )
        self.listens = listen
        self._store = store
        self._clock = clock
        self._furniture: tuple[commands.Cog, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("hearthside")

    def furnish(self, *cogs: commands.Cog) -> None:
        """Say which cogs are loaded when the bot starts, in their order."""
        self._furniture = cogs

    async def setup_hook(self) -> None:
        """Load the cogs and tell Discord of the commands, if they are others than it was told last."""
        await self._find_gateway()
        for cog in self._furniture:
            await self.add_cog(cog)
        self.soon(self.sync_commands())

    async def _find_gateway(self) -> None:
        """Ask the API for the gateway and the number of shards.

        discord.py would ask too, but comes back to Discord's own address after a session was lost.
        """
        self.shard_count, gateway, _ = await self.http.get_bot_gateway()
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)

    async def claims(self, interaction_id: int) -> bool:
        """Claim an interaction: false if it has been dealt with before."""
        async with self._store.transaction() as tx:
            return await log.claim(tx, interaction_id, self._clock.now())

    async def sync_commands(self) -> None:
        """Register the commands where they have changed: Discord counts every registration."""
        payload = [command.to_dict(self.tree) for command in self.tree.get_commands()]
        told = json.dumps([self.application_id, payload], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()
        async with self._store.read() as connection:
            if await scenes.fact(connection, COMMANDS_FACT) == digest:
                return
        await self.tree.sync()
        async with self._store.transaction() as tx:
            await scenes.set_fact(tx, COMMANDS_FACT, digest)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else; what goes wrong with it is logged."""
        task = asyncio.create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # the last place where it can be seen
            explain(error, where=getattr(work, "__qualname__", "background"))

    async def tell(self, interaction: discord.Interaction[Any], error: Exception, *, where: str) -> None:
        """Tell the one who pressed a button or sent a form why it did not work."""
        await whisper(interaction, explain(error, where=where))

    async def on_message(self, message: discord.Message, /) -> None:
        """Leave messages to the cogs: there are no prefix commands."""

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """Log what went wrong while an event was dealt with."""
        self._log.exception("event_failed", gateway_event=event_method)


def explain(error: BaseException, *, where: str) -> str:
    """Give what a person is told about an error; what is not meant for people is logged under an id."""
    if isinstance(error, HearthsideError):
        return f"⚠ {error}"
    if isinstance(error, app_commands.BotMissingPermissions | discord.Forbidden):
        return "⚠ I lack a permission for that here. `hearthside doctor` tells the operator which."
    if isinstance(error, app_commands.CheckFailure):
        return f"⚠ {error}" if str(error) else "⚠ You may not do that here."
    error_id = secrets.token_hex(3)
    structlog.get_logger("hearthside.bug").error("failed", where=where, id=error_id, exc_info=error)
    return f"⚠ Something went wrong inside the bot. The operator finds it in the log as {error_id}."


async def whisper(interaction: discord.Interaction[Any], text: str) -> None:
    """Answer so that only the one who asked sees it, if Discord still lets us."""
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
        else:
            await interaction.response.send_message(text, ephemeral=True)
    except discord.HTTPException as error:
        structlog.get_logger("hearthside").warning(
            "no_answer_possible", code=error.code, command=_name(interaction)
        )


def _name(interaction: discord.Interaction[Any]) -> str:
    return interaction.command.qualified_name if interaction.command else "?"
