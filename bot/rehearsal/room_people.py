"""The part of the room's API that people use: everything a player can do with mouse and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.rehearsal import openings, players, presence, threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.rehearsal.guilds import Channel, Member, Thread
    from bot.rehearsal.interactions import Interaction
    from bot.rehearsal.message_forms import Upload
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import Application, User
    from bot.rehearsal.state import State


class People:
    """What people do. Raises TableError where Discord would not let them."""

    state: State

    async def say(
        self,
        who: Member | User,
        channel: Channel,
        content: str,
        *,
        reply_to: Message | None = None,
        ping: bool = True,
        files: Sequence[Upload] = (),
    ) -> Message:
        """Write a message; `<@id>` pings, and so does `reply_to` unless `ping` is false."""
        return players.say(self.state, who, channel, content, reply_to=reply_to, ping=ping, files=files)

    async def edit(self, message: Message, content: str) -> None:
        """Change a person's message."""
        players.edit(self.state, message, content)

    async def delete(self, *messages: Message) -> None:
        """Delete messages; several at once are one bulk deletion."""
        players.remove(self.state, messages)

    async def type(self, who: Member | User, channel: Channel) -> None:
        """Start typing."""
        presence.start_typing(self.state, channel, players.user_of(who))

    async def react(self, who: Member | User, message: Message, emoji: str) -> None:
        """Put a reaction on a message."""
        presence.add_reaction(self.state, message, players.user_of(who), emoji)

    async def unreact(self, who: Member | User, message: Message, emoji: str) -> None:
        """Take a reaction off."""
        presence.remove_reaction(self.state, message, players.user_of(who), emoji)

    async def open_thread(
        self, who: Member | User, channel: Channel, name: str, message: Message | None = None
    ) -> Thread:
        """Open a public thread, on a message where one is given."""
        return openings.open_thread(self.state, channel, name, players.user_of(who), starter=message)

    async def archive(self, thread: Thread, *, locked: bool = False) -> None:
        """Archive a thread, and lock it if asked."""
        thread.locked = locked
        threads.set_archived(self.state, thread, archived=True)

    async def command(
        self,
        who: Member | User,
        channel: Channel,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        application: Application | None = None,
    ) -> Interaction:
        """Call a slash command by its words; options are checked against what the bot registered."""
        known = self._applications(channel, application)
        return players.command(self.state, known, who, channel, name, options or {})

    async def autocomplete(
        self,
        who: Member | User,
        channel: Channel,
        name: str,
        options: Mapping[str, Any],
        *,
        focused: str,
        application: Application | None = None,
    ) -> list[tuple[str, str | int | float]]:
        """Ask what an option offers for the text so far: (name, value) pairs."""
        known = self._applications(channel, application)
        call = players.autocomplete(self.state, known, who, channel, name, options, focused)
        await call.answered(timeout=None)
        return call.choices or []

    async def message_command(
        self,
        who: Member | User,
        channel: Channel,
        name: str,
        message: Message,
        *,
        application: Application | None = None,
    ) -> Interaction:
        """Choose an entry of a message's menu."""
        known = self._applications(channel, application)
        return players.message_menu(self.state, known, who, channel, name, message)

    async def user_command(
        self,
        who: Member | User,
        channel: Channel,
        name: str,
        target: Member | User,
        *,
        application: Application | None = None,
    ) -> Interaction:
        """Choose an entry of a user's menu."""
        known = self._applications(channel, application)
        return players.user_menu(self.state, known, who, channel, name, target)

    async def press(self, who: Member | User, message: Message, custom_id: str) -> Interaction:
        """Press a button."""
        return players.press(self.state, who, message, custom_id)

    async def select(
        self, who: Member | User, message: Message, custom_id: str, values: Sequence[Any]
    ) -> Interaction:
        """Choose in a select."""
        return players.select(self.state, who, message, custom_id, values)

    async def submit(self, who: Member | User, opened: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Send the form that a call opened."""
        return players.submit(self.state, opened, who, values)

    def _applications(self, channel: Channel, application: Application | None) -> list[Application]:
        if application is not None:
            return [application]
        present = [
            each
            for each in self.state.applications.values()
            if (each.user.id in channel.guild.members if channel.guild else each.user in channel.recipients)
        ]
        if not present:
            raise TableError(
                "No bot is here.", hint="Invite one with guild.invite(application, permissions)."
            )
        return present
