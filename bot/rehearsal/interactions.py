"""Commands, buttons, selects and modals in progress: their tokens, their deadlines, what they have become."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bot.errors import TableError
from bot.rehearsal.events import InteractionFailed
from bot.rehearsal.message_payloads import View, message_payload
from bot.rehearsal.payloads import channel_payload, member_payload, user_payload
from bot.rehearsal.state import Signal, State, Viewer
from bot.rehearsal.waiting import Waker

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.messages import Message
    from bot.rehearsal.modal_forms import Modal
    from bot.rehearsal.people import Application, User

Json = dict[str, Any]

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5

DEADLINE = 3.0
"""Seconds until the first response."""

TOKEN_LIFETIME = 900.0
"""Seconds for which an interaction's token can be used."""

MAX_INTERACTIONS = 2000


@dataclass(slots=True, eq=False)
class Interaction:
    """Something a member asked of a bot.

    `state`: `pending` until the first response, then `deferred` ("is thinking") or `answered`;
    `failed` when the bot let the deadline pass. `responses` are the messages that came of it, the
    first response first; `modal` is the form it opened; `choices` what autocomplete offers.
    """

    id: int
    token: str
    application: Application
    type: int
    user: User
    channel: Channel
    data: Json
    name: str
    created_at: float
    message: Message | None = None
    parent: Interaction | None = None
    state: Literal["pending", "deferred", "answered", "failed"] = "pending"
    acknowledged: bool = False
    deferred_ephemeral: bool = False
    original: Message | None = None
    responses: list[Message] = field(default_factory=list)
    modal: Modal | None = None
    choices: list[tuple[str, str | int | float]] | None = None
    cursor: int = 0
    deadline: asyncio.Task[None] | None = None
    changed: Waker = field(default_factory=Waker)

    async def answered(self, timeout: float | None = 5.0) -> Interaction:  # noqa: ASYNC109  the caller's patience
        """Wait until the answer is there, past any "is thinking".

        Raises TableError if the bot did not respond in time, TimeoutError after `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            await self.changed.until(lambda: self.state in {"answered", "failed"})
        return self._unless_failed()

    async def responded(self, timeout: float | None = 5.0) -> Interaction:  # noqa: ASYNC109  the caller's patience
        """Wait for the first response, be it only "is thinking"; raises as `answered` does."""
        async with asyncio.timeout(timeout):
            await self.changed.until(lambda: self.state != "pending")
        return self._unless_failed()

    def become(self, state: Literal["deferred", "answered", "failed"]) -> None:
        """Go on to another state and wake who waits."""
        self.state = state
        self.changed.notify()

    def metadata(self) -> Json:
        """Write where a message comes from, as messages carry it."""
        payload: Json = {
            "id": str(self.id),
            "type": self.type,
            "user": user_payload(self.user),
            "authorizing_integration_owners": self.owners(),
        }
        if self.type == COMPONENT and self.message is not None:
            payload["interacted_message_id"] = str(self.message.id)
        if self.type == MODAL_SUBMIT and self.parent is not None:
            payload["triggering_interaction_metadata"] = self.parent.metadata()
        return payload

    def owners(self) -> Json:
        """Write by whose installation the bot is here."""
        return {"0": str(self.channel.guild.id if self.channel.guild else 0)}

    def _unless_failed(self) -> Interaction:
        if self.state == "failed":
            raise TableError(f"{self.application.name} did not respond to {self.name!r} within 3 seconds.")
        return self


def begin(
    state: State,
    application: Application,
    kind: int,
    user: User,
    channel: Channel,
    data: Json,
    name: str,
    *,
    message: Message | None = None,
    parent: Interaction | None = None,
) -> Interaction:
    """Send an interaction to its bot and start the clock."""
    interaction = Interaction(
        id=state.ids.next(),
        token=state.secret(180),
        application=application,
        type=kind,
        user=user,
        channel=channel,
        data=data,
        name=name,
        created_at=state.clock.monotonic(),
        message=message,
        parent=parent,
        cursor=state.journal.last,
    )
    state.interactions[interaction.token] = interaction
    if len(state.interactions) > MAX_INTERACTIONS:
        del state.interactions[next(iter(state.interactions))]
    interaction.deadline = state.timers.later(DEADLINE, lambda: _miss(state, interaction))

    def render(viewer: Viewer) -> Json:
        return _payload(state, interaction, viewer)

    state.publish(Signal("INTERACTION_CREATE", render, guild=channel.guild, only=application))
    return interaction


def fail(state: State, interaction: Interaction) -> None:
    """Show the user that nothing came."""
    interaction.become("failed")
    state.record(InteractionFailed(channel=interaction.channel, interaction=interaction))


def _miss(state: State, interaction: Interaction) -> None:
    if interaction.state == "pending":
        fail(state, interaction)


def expire(state: State, interaction: Interaction) -> None:
    """Give up on an answer that was deferred and whose token has run out."""
    if interaction.state == "deferred":
        fail(state, interaction)


def _payload(state: State, interaction: Interaction, viewer: Viewer) -> Json:
    channel, user, application = interaction.channel, interaction.user, interaction.application
    payload: Json = {
        "id": str(interaction.id),
        "application_id": str(application.id),
        "type": interaction.type,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": channel_payload(channel, application.user)
        | {"permissions": str(int(channel.permissions(user)))},
        "app_permissions": str(int(channel.permissions(application.user))),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": interaction.owners(),
        "context": 0 if channel.guild else 1,
        "attachment_size_limit": 10 * 1024 * 1024,
    }
    if interaction.message is not None and interaction.type in {COMPONENT, MODAL_SUBMIT}:
        payload["message"] = message_payload(interaction.message, View(state.media, viewer.application))
    if channel.guild is None:
        return payload | {"user": user_payload(user)}
    member = channel.guild.members[user.id]
    return payload | {
        "guild_id": str(channel.guild.id),
        "guild": {"id": str(channel.guild.id), "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "member": member_payload(member)
        | {"user": user_payload(user), "permissions": str(int(channel.permissions(user)))},
    }
