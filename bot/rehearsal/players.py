"""What the people at the table do: write, edit, react, call commands, press buttons, fill in forms.

Each raises TableError where Discord's client or API would not let them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.rehearsal import invoke
from bot.rehearsal.command_forms import MESSAGE_MENU, USER_MENU
from bot.rehearsal.component_forms import BUTTON, LINK, SELECTS, STRING_SELECT, walk
from bot.rehearsal.guilds import Member
from bot.rehearsal.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Interaction, begin
from bot.rehearsal.message_forms import Upload, read_message
from bot.rehearsal.message_payloads import View, message_payload
from bot.rehearsal.modal_forms import fill
from bot.rehearsal.permissions import Permission
from bot.rehearsal.posting import Origin, delete, post, require, revise
from bot.rehearsal.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import Application, User
    from bot.rehearsal.state import State

Json = dict[str, Any]

_ENTITY_OPTIONS = {5: 6, 6: 8, 7: 9, 8: 7}
"""Select type: the option type that takes the same things."""


def user_of(who: Member | User) -> User:
    """Give the account behind a member."""
    return who.user if isinstance(who, Member) else who


def say(
    state: State,
    who: Member | User,
    channel: Channel,
    content: str,
    *,
    reply_to: Message | None = None,
    ping: bool = True,
    files: Sequence[Upload] = (),
) -> Message:
    """Write a message as a person."""
    user = user_of(who)
    body: Json = {"content": content}
    if reply_to is not None:
        body["message_reference"] = {"message_id": str(reply_to.id)}
        body["allowed_mentions"] = {"parse": ["users", "roles", "everyone"], "replied_user": ping}
    try:
        held = require(channel, user, Permission.SEND_MESSAGES)
        draft = read_message(body, dict(enumerate(files)))
        return post(state, channel, Origin(user, held), draft)
    except Refusal as refused:
        raise _told(refused) from refused


def edit(state: State, message: Message, content: str) -> None:
    """Change a person's own message."""
    try:
        revise(
            state,
            message,
            read_message({"content": content}, {}),
            may=message.channel.permissions(message.author),
        )
    except Refusal as refused:
        raise _told(refused) from refused


def remove(state: State, messages: Sequence[Message]) -> None:
    """Delete messages, as their authors or a moderator."""
    delete(state, messages, bulk=len(messages) > 1)


def command(
    state: State,
    applications: list[Application],
    who: Member | User,
    channel: Channel,
    name: str,
    options: Mapping[str, Any],
) -> Interaction:
    """Call a slash command."""
    user = user_of(who)
    found = invoke.find(applications, channel, name)
    invoke.check_use(found, user, channel)
    data = invoke.command_data(state, found, user, channel, options)
    return begin(state, found.application, COMMAND, user, channel, data, found.name)


def autocomplete(
    state: State,
    applications: list[Application],
    who: Member | User,
    channel: Channel,
    name: str,
    options: Mapping[str, Any],
    focused: str,
) -> Interaction:
    """Ask for what could stand in an option."""
    found = invoke.find(applications, channel, name)
    invoke.check_use(found, user_of(who), channel)
    data = invoke.autocomplete_data(found, options, focused)
    return begin(state, found.application, AUTOCOMPLETE, user_of(who), channel, data, found.name)


def message_menu(
    state: State,
    applications: list[Application],
    who: Member | User,
    channel: Channel,
    name: str,
    message: Message,
) -> Interaction:
    """Choose an entry of a message's menu; the bot sees the message whatever its intents."""
    found = invoke.find_menu(applications, channel, name, MESSAGE_MENU)
    invoke.check_use(found, user_of(who), channel)
    payload = message_payload(message, View(state.media, found.application))
    resolved = invoke.Resolved({"messages": {str(message.id): payload}})
    data = invoke.menu_data(found, message.id, resolved)
    return begin(state, found.application, COMMAND, user_of(who), channel, data, name, message=message)


def user_menu(
    state: State,
    applications: list[Application],
    who: Member | User,
    channel: Channel,
    name: str,
    target: Member | User,
) -> Interaction:
    """Choose an entry of a user's menu."""
    found = invoke.find_menu(applications, channel, name, USER_MENU)
    invoke.check_use(found, user_of(who), channel)
    resolved = invoke.Resolved()
    resolved.user(user_of(target), channel)
    data = invoke.menu_data(found, user_of(target).id, resolved)
    return begin(state, found.application, COMMAND, user_of(who), channel, data, name)


def press(state: State, who: Member | User, message: Message, custom_id: str) -> Interaction:
    """Press a button."""
    user = user_of(who)
    control = _control(message, user, custom_id, (BUTTON,))
    data = {"custom_id": custom_id, "component_type": BUTTON, "id": control["id"]}
    application = _owner(state, message)
    return begin(state, application, COMPONENT, user, message.channel, data, custom_id, message=message)


def select(
    state: State, who: Member | User, message: Message, custom_id: str, values: Sequence[Any]
) -> Interaction:
    """Choose in a select: values, or for users, roles and channels whom or what is meant."""
    user = user_of(who)
    control = _control(message, user, custom_id, SELECTS)
    low, high = control["min_values"], control["max_values"]
    if not low <= len(values) <= high:
        raise TableError(f"Choose {low} to {high} here, not {len(values)}.")
    resolved = invoke.Resolved()
    chosen = [_chosen(state, control, value, message.channel, user, resolved) for value in values]
    data: Json = {
        "custom_id": custom_id,
        "component_type": control["type"],
        "id": control["id"],
        "values": chosen,
    }
    if resolved.parts:
        data["resolved"] = resolved.parts
    application = _owner(state, message)
    return begin(state, application, COMPONENT, user, message.channel, data, custom_id, message=message)


def submit(state: State, opened: Interaction, who: Member | User, values: Mapping[str, Any]) -> Interaction:
    """Send the form that an interaction opened."""
    if opened.modal is None:
        raise TableError(f"{opened.name!r} has not opened a form.")
    user = user_of(who)
    if user is not opened.user:
        raise TableError("Only the one who opened a form can send it.")
    data = fill(opened.modal, values)
    message = opened.message if opened.type == COMPONENT else None
    return begin(
        state,
        opened.application,
        MODAL_SUBMIT,
        user,
        opened.channel,
        data,
        opened.modal.custom_id,
        message=message,
        parent=opened,
    )


def controls(message: Message) -> list[Json]:
    """Give a message's buttons and selects that can be used, in reading order."""
    return [
        each
        for each in walk(message.components)
        if each.get("type") in {BUTTON, *SELECTS} and not each.get("disabled") and each.get("style") != LINK
    ]


def _told(refused: Refusal) -> TableError:
    found = list(_errors(refused.body.get("errors", {})))
    return TableError(" ".join(found) or f"{refused.body['message']}.")


def _errors(tree: Json) -> list[str]:
    told = [each["message"] for each in tree.get("_errors", [])]
    for name, inner in tree.items():
        if isinstance(inner, dict):
            told += [f"{name}: {text}" for text in _errors(inner)]
    return told


def _control(message: Message, user: User, custom_id: str, kinds: tuple[int, ...]) -> Json:
    if message.deleted or not message.visible_to(user.id):
        raise TableError("That message is not there (any more).")
    for each in walk(message.components):
        if each.get("custom_id") == custom_id and each.get("type") in kinds:
            if each.get("disabled"):
                raise TableError("That control is switched off.")
            return each
    usable = ", ".join(each["custom_id"] for each in controls(message)) or "nothing"
    raise TableError(f"That message has no {custom_id!r} to use.", hint=f"It has {usable}.")


def _owner(state: State, message: Message) -> Application:
    application = state.applications.get(message.application_id or 0)
    if application is None:
        raise TableError("No bot listens to that message.")
    return application


def _chosen(
    state: State, control: Json, value: Any, channel: Channel, user: User, resolved: invoke.Resolved
) -> str:
    if control["type"] == STRING_SELECT:
        for offer in control["options"]:
            if str(value) in {offer["value"], offer["label"]}:
                return str(offer["value"])
        offered = ", ".join(offer["label"] for offer in control["options"])
        raise TableError(f"{value!r} is not offered.", hint=f"Choose from {offered}.")
    option: Json = {"name": control["custom_id"], "type": _ENTITY_OPTIONS[control["type"]]}
    if control.get("channel_types"):
        option["channel_types"] = control["channel_types"]
    return invoke.chosen_entity(state, option, value, user, channel, resolved)
