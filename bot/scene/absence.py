"""What happened in a scene's channel while the bot was away: said, changed, deleted."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from bot.prompt.speech import in_character
from bot.store import log
from bot.store.records import EntryKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bot.scene.scene import Scene
    from bot.scene.table import Said, Table
    from bot.store.records import Shown

# How many of a channel's latest messages are held against the log, and how far back missed ones are read in.
COMPARED_MESSAGES = 200
MISSED_MESSAGES = 500


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """A message that stands in a channel: `said` if a member wrote it.

    `edited_at` is when its text was last changed, in Unix seconds by Discord's clock; None if it never was.
    """

    message_id: int
    said: Said | None = None
    edited_at: float | None = None


class History(Protocol):
    """A channel's messages, as Discord gives them now. Its methods raise what Discord refuses."""

    def latest(self, limit: int) -> AsyncGenerator[ChannelMessage, None]:
        """Give the latest messages, newest first; they are fetched as they are asked for."""
        ...

    async def is_gone(self, message_id: int) -> bool:
        """Say whether Discord knows the channel, but no such message in it."""
        ...


class Absence:
    """Makes up for what nobody listened to, scene by scene."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._since: dict[int, int] = {}  # scene -> the last message that it heard before it missed some
        self._log = structlog.get_logger("hearthside.absence")

    async def begin(self) -> None:
        """Note how far every scene has heard, before what is said from now on hides what was missed."""
        for scene in self._table.scenes():
            self._since.setdefault(scene.id, await self._table.last_heard(scene))

    def is_owed(self, scene: Scene) -> bool:
        """Tell whether it is still to be found out what a scene has missed."""
        return scene.id in self._since

    async def make_up(self, scene: Scene, history: History) -> None:
        """Hear what was missed, then change and forget what was changed and deleted meanwhile.

        Where the history raises, the next time begins at the same place again.
        """
        since = self._since.get(scene.id) or await self._table.last_heard(scene)
        async with self._table.store.read() as connection:
            ends = await log.ends_of_messages(connection, scene.id)
        # What is posted from now on need not be in the history that is read now: it ends with `last`.
        begin, last = ends or (scene.record.heard_from, scene.record.heard_from)
        there, first = await self._read(scene, history, since=since, begin=begin)
        await self._hear(scene, there)
        async with self._table.store.read() as connection:
            shown = await log.shown_between(connection, scene.id, first, last)
        await self._change(scene, shown, there)
        await self._forget(scene, shown, there, history)
        self._since.pop(scene.id, None)

    async def _read(
        self, scene: Scene, history: History, *, since: int, begin: int
    ) -> tuple[dict[int, ChannelMessage], int]:
        """Give what stands in the channel, by id and newest first, and the first message that was read for.

        Reads back to what was heard last and over `COMPARED_MESSAGES`, or to where the story begins.
        """
        there: dict[int, ChannelMessage] = {}
        async with aclosing(history.latest(MISSED_MESSAGES)) as latest:
            async for message in latest:
                there[message.message_id] = message
                if message.message_id <= begin:
                    return there, begin
                if message.message_id <= since and len(there) >= COMPARED_MESSAGES:
                    return there, message.message_id
        if len(there) < MISSED_MESSAGES:
            return there, begin
        first = min(there)
        if first > since:
            self._log.warning("too_much_missed", channel=scene.record.channel_id, read=len(there))
        return there, first

    async def _hear(self, scene: Scene, there: dict[int, ChannelMessage]) -> None:
        said = [one.said for one in reversed(there.values()) if one.said]
        async with self._table.store.read() as connection:
            new = await log.unclaimed(connection, [one.message_id for one in said])
        names = {one.author_id: one.speaker for one in scene.window.entries if one.kind is EntryKind.PLAYER}
        for one in said:
            if one.message_id in new and one.message_id > scene.record.heard_from:
                # The history gives accounts' names, not what members are called on the server.
                known = replace(one, author_name=names.get(one.author_id, one.author_name))
                await self._table.hear(known, missed=True)

    async def _change(self, scene: Scene, shown: Sequence[Shown], there: dict[int, ChannelMessage]) -> None:
        for one in shown:
            now = there.get(one.message_id)
            if now and now.said and _is_changed(one, now, now.said):
                said = now.said
                await self._table.edited(scene.record.channel_id, one.message_id, said.text, said.names)

    async def _forget(
        self, scene: Scene, shown: Sequence[Shown], there: dict[int, ChannelMessage], history: History
    ) -> None:
        """Forget what is not there any more, if Discord says so itself of the first and last of it.

        A history is empty, too, where the bot may not read it.
        """
        gone = [one.message_id for one in shown if one.message_id not in there]
        for one in sorted({*gone[:1], *gone[-1:]}):
            if not await history.is_gone(one):
                self._log.warning("history_incomplete", channel=scene.record.channel_id, message=one)
                return
        for one in gone:
            await self._table.deleted(scene.record.channel_id, one)


def _is_changed(before: Shown, now: ChannelMessage, said: Said) -> bool:
    """Tell whether a message was changed after what is known of it.

    Its text alone does not tell: the history calls members by other names than the event that was heard.
    """
    if now.edited_at is None or (before.edited_at is not None and now.edited_at <= before.edited_at):
        return False
    return in_character(said.text, dict(said.names)) != before.text
