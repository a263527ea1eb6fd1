"""REST: webhooks, and what is posted through them. An interaction's token is a webhook of 15 minutes."""

from __future__ import annotations

from typing import Any

from bot.rehearsal import callbacks, webhooks
from bot.rehearsal.calls import Answer, Call, Route, done
from bot.rehearsal.interactions import Interaction
from bot.rehearsal.messages import Message, Webhook
from bot.rehearsal.payloads import webhook_payload
from bot.rehearsal.permissions import Permission
from bot.rehearsal.posting import delete, require
from bot.rehearsal.refusals import refusal

Json = dict[str, Any]


def create_webhook(call: Call) -> Answer:
    """Make a webhook in a text channel (30007 beyond fifteen)."""
    call.require(Permission.MANAGE_WEBHOOKS)
    made = webhooks.create(call.state, call.channel, call.application, call.body)
    return Answer(json=_render(call, made))


def list_channel_webhooks(call: Call) -> Answer:
    """Give the webhooks of a channel."""
    call.require(Permission.MANAGE_WEBHOOKS)
    found = [each for each in call.state.webhooks.values() if each.channel is call.channel]
    return Answer(json=[_render(call, each) for each in found])


def list_guild_webhooks(call: Call) -> Answer:
    """Give the webhooks of a server."""
    guild = call.state.guild(call.id("guild_id"))
    if Permission.MANAGE_WEBHOOKS not in guild.permissions(call.application.user):
        raise refusal(50013)
    found = [each for each in call.state.webhooks.values() if each.channel.guild is guild]
    return Answer(json=[_render(call, each) for each in found])


def get_webhook(call: Call) -> Answer:
    """Give a webhook."""
    return Answer(json=_render(call, _permitted(call)))


def edit_webhook(call: Call) -> Answer:
    """Rename a webhook, give it another face or another channel."""
    webhook = _permitted(call)
    webhooks.change(call.state, webhook, call.body, movable=True)
    return Answer(json=_render(call, webhook))


def delete_webhook(call: Call) -> Answer:
    """Delete a webhook."""
    webhooks.remove(call.state, _permitted(call))
    return done()


def get_webhook_with_token(call: Call) -> Answer:
    """Give a webhook to whoever has its token."""
    return Answer(json=webhook_payload(_by_token(call), call.state.api_url, None))


def edit_webhook_with_token(call: Call) -> Answer:
    """Change a webhook's name or face by its token."""
    webhook = _by_token(call)
    webhooks.change(call.state, webhook, call.body, movable=False)
    return Answer(json=webhook_payload(webhook, call.state.api_url, None))


def delete_webhook_with_token(call: Call) -> Answer:
    """Delete a webhook by its token."""
    webhooks.remove(call.state, _by_token(call))
    return done()


def execute(call: Call) -> Answer:
    """Post through a webhook, or follow up on an interaction; `wait` asks for the message."""
    interaction = _interaction(call)
    if interaction is not None:
        return Answer(json=call.render(callbacks.follow_up(call.state, interaction, call.body, call.files)))
    webhook = _by_token(call)
    thread_id = call.query_id("thread_id")
    message = webhooks.execute(call.state, webhook, call.body, call.files, thread_id)
    return Answer(json=call.render(message)) if call.query_flag("wait") else done()


def get_webhook_message(call: Call) -> Answer:
    """Give a message that came through this webhook or interaction."""
    interaction = _interaction(call)
    if interaction is not None:
        return Answer(json=call.render(_answer_of(call, interaction)))
    return Answer(json=call.render(_posted(call)))


def edit_webhook_message(call: Call) -> Answer:
    """Change a message that came through this webhook or interaction."""
    interaction = _interaction(call)
    if interaction is not None:
        answer = _answer_of(call, interaction)
        callbacks.edit(call.state, interaction, answer, call.body, call.files)
        return Answer(json=call.render(answer))
    message = _posted(call)
    webhooks.edit(call.state, message, call.body, call.files)
    return Answer(json=call.render(message))


def delete_webhook_message(call: Call) -> Answer:
    """Delete a message that came through this webhook or interaction."""
    interaction = _interaction(call)
    if interaction is not None:
        callbacks.withdraw(call.state, interaction, _answer_of(call, interaction))
    else:
        delete(call.state, [_posted(call)])
    return done()


def _render(call: Call, webhook: Webhook) -> Json:
    return webhook_payload(webhook, call.state.api_url, call.application)


def _permitted(call: Call) -> Webhook:
    webhook = call.state.webhook(call.id("webhook_id"))
    require(webhook.channel, call.application.user, Permission.MANAGE_WEBHOOKS)
    return webhook


def _by_token(call: Call) -> Webhook:
    webhook = call.state.webhook(call.id("webhook_id"))
    if webhook.token != call.path["webhook_token"]:
        raise refusal(50027)
    return webhook


def _interaction(call: Call) -> Interaction | None:
    application_id = call.id("webhook_id")
    if application_id not in call.state.applications:
        return None
    return callbacks.find_by_token(call.state, application_id, call.path["webhook_token"])


def _answer_of(call: Call, interaction: Interaction) -> Message:
    original = "message_id" not in call.path
    return callbacks.message_of(interaction, None if original else call.id("message_id"))


def _posted(call: Call) -> Message:
    webhook = _by_token(call)
    place = webhooks.place(call.state, webhook, call.query_id("thread_id"))
    message = place.messages.get(call.id("message_id"))
    if message is None or message.webhook_id != webhook.id:
        raise refusal(10008)
    return message


_ONE = "/webhooks/{webhook_id}"
_TOKEN = "/webhooks/{webhook_id}/{webhook_token}"  # noqa: S105  a route, not a secret

ROUTES = (
    Route("POST", "/channels/{channel_id}/webhooks", create_webhook),
    Route("GET", "/channels/{channel_id}/webhooks", list_channel_webhooks),
    Route("GET", "/guilds/{guild_id}/webhooks", list_guild_webhooks),
    Route("GET", _ONE, get_webhook),
    Route("PATCH", _ONE, edit_webhook),
    Route("DELETE", _ONE, delete_webhook),
    Route("GET", _TOKEN, get_webhook_with_token, token=False),
    Route("PATCH", _TOKEN, edit_webhook_with_token, token=False),
    Route("DELETE", _TOKEN, delete_webhook_with_token, token=False),
    Route("POST", _TOKEN, execute, token=False),
    Route("GET", _TOKEN + "/messages/@original", get_webhook_message, token=False),
    Route("PATCH", _TOKEN + "/messages/@original", edit_webhook_message, token=False),
    Route("DELETE", _TOKEN + "/messages/@original", delete_webhook_message, token=False),
    Route("GET", _TOKEN + "/messages/{message_id}", get_webhook_message, token=False),
    Route("PATCH", _TOKEN + "/messages/{message_id}", edit_webhook_message, token=False),
    Route("DELETE", _TOKEN + "/messages/{message_id}", delete_webhook_message, token=False),
)
