"""REST: messages of channels, reactions, pins, typing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal import presence
from bot.rehearsal.calls import Answer, Call, Route, done
from bot.rehearsal.message_forms import read_message
from bot.rehearsal.messages import COMPONENTS_V2, SUPPRESS_EMBEDS, Message
from bot.rehearsal.payloads import user_payload
from bot.rehearsal.permissions import Permission
from bot.rehearsal.posting import Origin, delete, post, revise
from bot.rehearsal.refusals import Form, refusal
from bot.rehearsal.snowflakes import isoformat, snowflake_time

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

FORTNIGHT = 14 * 86_400.0
MAX_PINS = 250


def list_messages(call: Call) -> Answer:
    """Give up to 100 messages, newest first, before, after or around an id."""
    held = call.require()
    limit = call.query_number("limit", low=1, high=100, default=50)
    anchors = {name: call.query_id(name) for name in ("around", "before", "after")}
    if Permission.READ_MESSAGE_HISTORY not in held:
        return Answer(json=[])
    known = [each for each in call.channel.messages.values() if not each.ephemeral]
    return Answer(json=[call.render(each) for each in _page(known, anchors, limit)])


def _page(known: list[Message], anchors: dict[str, int | None], limit: int) -> Iterable[Message]:
    around, before, after = anchors["around"], anchors["before"], anchors["after"]
    if around is not None:
        older = [each for each in known if each.id < around][-(limit // 2) :] if limit > 1 else []
        newer = [each for each in known if each.id >= around][: limit - len(older)]
        return reversed(older + newer)
    if after is not None:
        return reversed([each for each in known if each.id > after][:limit])
    if before is not None:
        known = [each for each in known if each.id < before]
    return reversed(known[-limit:])


def create_message(call: Call) -> Answer:
    """Send a message as the bot itself."""
    held = call.require(Permission.SEND_MESSAGES)
    application = call.application
    draft = read_message(call.body, call.files)
    origin = Origin(application.user, held, application=application)
    message = post(call.state, call.channel, origin, draft)
    return Answer(json=call.render(message))


def get_message(call: Call) -> Answer:
    """Give one message."""
    call.require(Permission.READ_MESSAGE_HISTORY)
    return Answer(json=call.render(_message(call)))


def edit_message(call: Call) -> Answer:
    """Change the bot's own message, or only the flags of another's (50005)."""
    held = call.require()
    message = _message(call)
    if message.notice:
        raise refusal(50021)
    draft = read_message(
        call.body,
        call.files,
        layout=bool(message.flags & COMPONENTS_V2),
        settable=SUPPRESS_EMBEDS | COMPONENTS_V2,
    )
    if message.author is not call.application.user or message.webhook_id not in {None, call.application.id}:
        if draft.given - {"flags"}:
            raise refusal(50005)
        if Permission.MANAGE_MESSAGES not in held:
            raise refusal(50013)
    revise(call.state, message, draft, may=held)
    return Answer(json=call.render(message))


def delete_message(call: Call) -> Answer:
    """Delete a message; another's needs a permission."""
    held = call.require()
    message = _message(call)
    own = message.author is call.application.user
    if not own and Permission.MANAGE_MESSAGES not in held:
        raise refusal(50013)
    delete(call.state, [message])
    return done()


def bulk_delete(call: Call) -> Answer:
    """Delete 2 to 100 messages of the last two weeks (50034)."""
    call.require(Permission.MANAGE_MESSAGES)
    form = Form()
    listed = form.items(call.body, ("messages",), low=2, high=100) or []
    wrapped = {str(position): value for position, value in enumerate(listed)}
    ids = [form.snowflake(wrapped, ("messages", position)) for position in wrapped]
    if len(set(ids)) != len(ids):
        form.fault(("messages",), "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value")
    form.check()
    oldest = call.state.clock.now() - FORTNIGHT
    if any(each is not None and snowflake_time(each) < oldest for each in ids):
        raise refusal(50034)
    known = call.channel.messages
    delete(
        call.state, [known[each] for each in ids if each in known and not known[each].ephemeral], bulk=True
    )
    return done()


def type_in_channel(call: Call) -> Answer:
    """Show that the bot is typing."""
    call.require(Permission.SEND_MESSAGES)
    presence.start_typing(call.state, call.channel, call.application.user)
    return done()


def add_reaction(call: Call) -> Answer:
    """React as the bot; the first of its kind needs a permission."""
    held = call.require(Permission.READ_MESSAGE_HISTORY)
    message = _message(call)
    emoji = call.path["emoji_name"]
    if emoji not in message.reactions and Permission.ADD_REACTIONS not in held:
        raise refusal(50013)
    presence.add_reaction(call.state, message, call.application.user, emoji)
    return done()


def remove_own_reaction(call: Call) -> Answer:
    """Take the bot's reaction off."""
    call.require()
    presence.remove_reaction(call.state, _message(call), call.application.user, call.path["emoji_name"])
    return done()


def remove_reaction(call: Call) -> Answer:
    """Take somebody's reaction off."""
    call.require(Permission.MANAGE_MESSAGES)
    user = call.state.users.get(call.id("user_id"))
    if user is None:
        raise refusal(10013)
    presence.remove_reaction(call.state, _message(call), user, call.path["emoji_name"])
    return done()


def list_reactions(call: Call) -> Answer:
    """Give who reacted with an emoji."""
    call.require(Permission.READ_MESSAGE_HISTORY)
    users = _message(call).reactions.get(call.path["emoji_name"], {})
    limit = call.query_number("limit", low=1, high=100, default=25)
    after = call.query_id("after") or 0
    found = [user for user in sorted(users.values(), key=lambda each: each.id) if user.id > after]
    return Answer(json=[user_payload(user) for user in found[:limit]])


def clear_reactions(call: Call) -> Answer:
    """Take all reactions off, or all of one emoji."""
    call.require(Permission.MANAGE_MESSAGES)
    presence.clear_reactions(call.state, _message(call), call.path.get("emoji_name"))
    return done()


def pin(call: Call) -> Answer:
    """Pin a message."""
    held = call.require()
    if not held & (Permission.MANAGE_MESSAGES | Permission.PIN_MESSAGES):
        raise refusal(50013)
    if sum(each.pinned for each in call.channel.messages.values()) >= MAX_PINS:
        raise refusal(30003)
    presence.set_pinned(call.state, _message(call), call.application.user, pinned=True)
    return done()


def unpin(call: Call) -> Answer:
    """Unpin a message."""
    held = call.require()
    if not held & (Permission.MANAGE_MESSAGES | Permission.PIN_MESSAGES):
        raise refusal(50013)
    presence.set_pinned(call.state, _message(call), call.application.user, pinned=False)
    return done()


def list_pins(call: Call) -> Answer:
    """Give the pinned messages, newest first."""
    call.require(Permission.READ_MESSAGE_HISTORY)
    pinned = [each for each in reversed(call.channel.messages.values()) if each.pinned]
    items = [{"pinned_at": isoformat(each.created_at), "message": call.render(each)} for each in pinned[:50]]
    return Answer(json={"items": items, "has_more": len(pinned) > 50})


def _message(call: Call) -> Message:
    return call.state.message(call.channel, call.id("message_id"))


_ONE = "/channels/{channel_id}/messages/{message_id}"
_EMOJI = _ONE + "/reactions/{emoji_name}"

ROUTES = (
    Route("GET", "/channels/{channel_id}/messages", list_messages),
    Route("POST", "/channels/{channel_id}/messages", create_message),
    Route("POST", "/channels/{channel_id}/messages/bulk-delete", bulk_delete),
    Route("GET", "/channels/{channel_id}/messages/pins", list_pins),
    Route("PUT", "/channels/{channel_id}/messages/pins/{message_id}", pin),
    Route("DELETE", "/channels/{channel_id}/messages/pins/{message_id}", unpin),
    Route("GET", _ONE, get_message),
    Route("PATCH", _ONE, edit_message),
    Route("DELETE", _ONE, delete_message),
    Route("POST", "/channels/{channel_id}/typing", type_in_channel),
    Route("DELETE", _ONE + "/reactions", clear_reactions),
    Route("PUT", _EMOJI + "/@me", add_reaction),
    Route("DELETE", _EMOJI + "/@me", remove_own_reaction),
    Route("DELETE", _EMOJI + "/{user_id}", remove_reaction),
    Route("GET", _EMOJI, list_reactions),
    Route("DELETE", _EMOJI, clear_reactions),
)
