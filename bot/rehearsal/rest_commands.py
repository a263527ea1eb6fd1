"""REST: registering application commands, and the first response to an interaction."""

from __future__ import annotations

from typing import Any

from bot.rehearsal import callbacks, commands
from bot.rehearsal.calls import Answer, Call, Route, done
from bot.rehearsal.interactions import Interaction
from bot.rehearsal.people import Application, Command
from bot.rehearsal.refusals import refusal

Json = dict[str, Any]


def list_commands(call: Call) -> Answer:
    """Give the registered commands."""
    return _all(list(commands.registered(_own(call), _guild_id(call)).values()))


def overwrite(call: Call) -> Answer:
    """Replace all commands."""
    return _all(commands.overwrite(call.state, _own(call), _guild_id(call), call.entries))


def create(call: Call) -> Answer:
    """Add a command, or replace the one of that name."""
    command, new = commands.create(call.state, _own(call), _guild_id(call), call.body)
    return Answer(201 if new else 200, command.payload)


def get(call: Call) -> Answer:
    """Give one command."""
    return Answer(json=commands.find(_own(call), _guild_id(call), call.id("command_id")).payload)


def change(call: Call) -> Answer:
    """Change a command."""
    own, guild_id = _own(call), _guild_id(call)
    return Answer(json=commands.change(call.state, own, guild_id, call.id("command_id"), call.body).payload)


def remove(call: Call) -> Answer:
    """Take a command away."""
    commands.remove(_own(call), _guild_id(call), call.id("command_id"))
    return done()


def callback(call: Call) -> Answer:
    """Respond to an interaction for the first time; `with_response` asks for what came of it."""
    interaction = callbacks.find(call.state, call.id("interaction_id"), call.path["interaction_token"])
    callbacks.respond(call.state, interaction, call.body, call.files)
    if not call.query_flag("with_response"):
        return done()
    return Answer(json=_outcome(call, interaction))


def _outcome(call: Call, interaction: Interaction) -> Json:
    message = interaction.original
    told: Json = {
        "id": str(interaction.id),
        "type": interaction.type,
        "channel_id": str(interaction.channel.id),
    }
    if interaction.channel.guild is not None:
        told["guild_id"] = str(interaction.channel.guild.id)
    if message is None:
        return {"interaction": told}
    told |= {
        "response_message_id": str(message.id),
        "response_message_loading": message.loading,
        "response_message_ephemeral": message.ephemeral,
    }
    kind = call.body.get("type")
    if kind not in {callbacks.MESSAGE, callbacks.UPDATE}:
        return {"interaction": told}
    return {"interaction": told, "resource": {"type": kind, "message": call.render(message)}}


def _own(call: Call) -> Application:
    if call.id("application_id") != call.application.id:
        raise refusal(20012)
    return call.application


def _guild_id(call: Call) -> int | None:
    if "guild_id" not in call.path:
        return None
    guild = call.state.guilds.get(call.id("guild_id"))
    if guild is None or call.application.user.id not in guild.members:
        raise refusal(50001)
    return guild.id


def _all(found: list[Command]) -> Answer:
    return Answer(json=[command.payload for command in found])


ROUTES = (
    *(
        route
        for base in ("/applications/{application_id}", "/applications/{application_id}/guilds/{guild_id}")
        for route in (
            Route("GET", base + "/commands", list_commands),
            Route("PUT", base + "/commands", overwrite),
            Route("POST", base + "/commands", create),
            Route("GET", base + "/commands/{command_id}", get),
            Route("PATCH", base + "/commands/{command_id}", change),
            Route("DELETE", base + "/commands/{command_id}", remove),
        )
    ),
    Route("POST", "/interactions/{interaction_id}/{interaction_token}/callback", callback, token=False),
)
