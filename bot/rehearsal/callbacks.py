"""A bot answers an interaction: the first response, and what it posts by the token afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal.events import InteractionAnswered, InteractionDeferred
from bot.rehearsal.interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    DEADLINE,
    MODAL_SUBMIT,
    TOKEN_LIFETIME,
    Interaction,
    expire,
)
from bot.rehearsal.message_forms import Draft, Upload, read_message
from bot.rehearsal.messages import (
    CHAT_COMMAND,
    COMPONENTS_V2,
    DEFAULT,
    EPHEMERAL,
    LOADING,
    MENU_COMMAND,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Message,
)
from bot.rehearsal.modal_forms import read_modal
from bot.rehearsal.posting import Origin, delete, post, publish_created, revise
from bot.rehearsal.refusals import Form, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.state import State

Json = dict[str, Any]

MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9

_FITTING: dict[int, tuple[int, ...]] = {
    COMMAND: (MESSAGE, DEFERRED, MODAL),
    COMPONENT: (MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL),
    AUTOCOMPLETE: (CHOICES,),
    MODAL_SUBMIT: (MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE),
}
_FLAGS = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2 | EPHEMERAL

MAX_CHOICES = 25


def find(state: State, interaction_id: int, token: str) -> Interaction:
    """Find an interaction that waits for its first response.

    Refuses an unknown one and one whose three seconds are over (10062), and a second response (40060).
    """
    interaction = state.interactions.get(token)
    if interaction is None or interaction.id != interaction_id:
        raise refusal(10062)
    if interaction.acknowledged:
        raise refusal(40060)
    if interaction.state == "failed" or state.clock.monotonic() - interaction.created_at > DEADLINE:
        raise refusal(10062)
    return interaction


def find_by_token(state: State, application_id: int, token: str) -> Interaction:
    """Find an interaction whose token can post.

    Refuses an unknown one and one without a first response (10015), and a token older than
    15 minutes (50027).
    """
    interaction = state.interactions.get(token)
    if interaction is None or interaction.application.id != application_id:
        raise refusal(10015)
    if state.clock.monotonic() - interaction.created_at > TOKEN_LIFETIME:
        raise refusal(50027)
    if not interaction.acknowledged:
        raise refusal(10015)
    return interaction


def respond(state: State, interaction: Interaction, body: Json, files: Mapping[int, Upload]) -> None:
    """Carry out the first response, or refuse it (50035, 50006) and leave the interaction waiting."""
    form = Form()
    fitting = _FITTING[interaction.type]
    if interaction.type == MODAL_SUBMIT and interaction.message is None:
        fitting = (MESSAGE, DEFERRED)
    kind = form.choice(body, ("type",), fitting, required=True)
    data = form.object(body, ("data",)) or {}
    form.check()
    if kind == MESSAGE:
        _answer(state, interaction, data, files)
    elif kind == DEFERRED:
        _defer(state, interaction, data)
    elif kind == UPDATE and interaction.message is not None:
        revise(state, interaction.message, _draft(data, files, layout=interaction.message))
        _done(state, interaction, interaction.message)
    elif kind == DEFERRED_UPDATE:
        _done(state, interaction, interaction.message)
    elif kind == CHOICES:
        interaction.choices = _read_choices(interaction, data)
        _done(state, interaction, None)
    else:
        interaction.modal = read_modal(data)
        _done(state, interaction, None)


def follow_up(state: State, interaction: Interaction, body: Json, files: Mapping[int, Upload]) -> Message:
    """Post by the token. After "is thinking" the first post takes that message's place."""
    waiting = interaction.original
    if waiting is not None and waiting.loading:
        draft = read_message(body, files, settable=_FLAGS)
        revise(state, waiting, draft)
        _settle(state, interaction, waiting)
        return waiting
    draft = read_message(body, files, settable=_FLAGS)
    message = post(state, interaction.channel, _origin(interaction, draft.flags), draft)
    interaction.responses.append(message)
    state.record(InteractionAnswered(channel=interaction.channel, interaction=interaction, message=message))
    return message


def message_of(interaction: Interaction, message_id: int | None) -> Message:
    """Find a message of this interaction, the first response for None, or refuse (10008)."""
    if message_id is None:
        found = interaction.original
    else:
        known = [*interaction.responses, *([interaction.message] if interaction.message else [])]
        found = next((each for each in known if each.id == message_id), None)
    if found is None or found.deleted:
        raise refusal(10008)
    return found


def edit(
    state: State, interaction: Interaction, message: Message, body: Json, files: Mapping[int, Upload]
) -> None:
    """Change a message of this interaction; what was deferred is answered by it."""
    revise(state, message, _draft(body, files, layout=message, prefix=()))
    if message is interaction.original:
        _settle(state, interaction, message)


def withdraw(state: State, interaction: Interaction, message: Message) -> None:
    """Delete a message of this interaction."""
    delete(state, [message])
    if message is interaction.original and interaction.state == "deferred":
        interaction.become("answered")


def _draft(
    body: Json, files: Mapping[int, Upload], *, layout: Message, prefix: tuple[str, ...] = ("data",)
) -> Draft:
    return read_message(
        body,
        files,
        prefix=prefix,
        layout=bool(layout.flags & COMPONENTS_V2),
        settable=SUPPRESS_EMBEDS | COMPONENTS_V2,
    )


def _origin(interaction: Interaction, flags: int) -> Origin:
    application = interaction.application
    return Origin(
        author=application.user,
        webhook_id=application.id,
        application=application,
        interaction=interaction,
        ephemeral_for=interaction.user.id if flags & EPHEMERAL else None,
    )


def _kind(interaction: Interaction) -> int:
    if interaction.type != COMMAND:
        return DEFAULT
    return CHAT_COMMAND if interaction.data.get("type") == 1 else MENU_COMMAND


def _answer(state: State, interaction: Interaction, data: Json, files: Mapping[int, Upload]) -> None:
    draft = read_message(data, files, prefix=("data",), settable=_FLAGS)
    origin = _origin(interaction, draft.flags)
    message = post(state, interaction.channel, origin, draft, kind=_kind(interaction))
    interaction.responses.append(message)
    _done(state, interaction, message)


def _defer(state: State, interaction: Interaction, data: Json) -> None:
    form = Form()
    flags = (form.number(data, ("data", "flags"), low=0, high=1 << 30) or 0) & EPHEMERAL
    form.check()
    origin = _origin(interaction, flags)
    message = Message(
        id=state.ids.next(),
        channel=interaction.channel,
        author=origin.author,
        created_at=state.clock.now(),
        type=_kind(interaction),
        flags=flags | LOADING,
        webhook_id=origin.webhook_id,
        application_id=interaction.application.id,
        interaction=interaction,
        ephemeral_for=origin.ephemeral_for,
    )
    _acknowledge(interaction)
    interaction.original = message
    interaction.responses.append(message)
    publish_created(state, message, origin)
    interaction.become("deferred")
    left = TOKEN_LIFETIME - (state.clock.monotonic() - interaction.created_at)
    interaction.deadline = state.timers.later(left, lambda: expire(state, interaction))
    state.record(InteractionDeferred(channel=interaction.channel, interaction=interaction))


def _done(state: State, interaction: Interaction, message: Message | None) -> None:
    _acknowledge(interaction)
    interaction.original = message
    interaction.become("answered")
    state.record(InteractionAnswered(channel=interaction.channel, interaction=interaction, message=message))


def _settle(state: State, interaction: Interaction, message: Message) -> None:
    if interaction.state != "deferred":
        return
    _acknowledge(interaction)
    interaction.become("answered")
    state.record(InteractionAnswered(channel=interaction.channel, interaction=interaction, message=message))


def _acknowledge(interaction: Interaction) -> None:
    interaction.acknowledged = True
    if interaction.deadline is not None:
        interaction.deadline.cancel()


def _read_choices(interaction: Interaction, data: Json) -> list[tuple[str, str | int | float]]:
    form = Form()
    listed = form.objects(data, ("data", "choices"), high=MAX_CHOICES) or []
    kind = next(
        (each["type"] for each in _flat(interaction.data.get("options", [])) if each.get("focused")), 3
    )
    read: list[tuple[str, str | int | float]] = []
    for position, choice in enumerate(listed):
        path = ("data", "choices", position)
        name = form.text(choice, (*path, "name"), low=1, high=100, required=True) or ""
        value = choice.get("value")
        if kind == 3:
            value = form.text(choice, (*path, "value"), high=100, required=True)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            form.fault((*path, "value"), "NUMBER_TYPE_COERCE", f'Value "{value}" is not a number.')
        read.append((name, value if value is not None else ""))
    form.check()
    return read


def _flat(options: list[Json]) -> list[Json]:
    return [inner for each in options for inner in (_flat(each["options"]) if "options" in each else [each])]
