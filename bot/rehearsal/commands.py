"""What an application has registered, and how a registration changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal.command_forms import check_count, read_command, read_commands
from bot.rehearsal.people import Application, Command
from bot.rehearsal.refusals import Form, refusal

if TYPE_CHECKING:
    from bot.rehearsal.state import State

Json = dict[str, Any]

DAILY_CREATES = 200
"""Commands that an application may create in a day, globally and in each server (30034)."""

DAY = 86_400.0
_EVERYWHERE = 0


def registered(application: Application, guild_id: int | None) -> dict[int, Command]:
    """Give the commands of one server, or the global ones, by id."""
    if guild_id is None:
        return application.global_commands
    return application.guild_commands.setdefault(guild_id, {})


def find(application: Application, guild_id: int | None, command_id: int) -> Command:
    """Find a command, or refuse (10063)."""
    found = registered(application, guild_id).get(command_id)
    if found is None:
        raise refusal(10063)
    return found


def overwrite(state: State, application: Application, guild_id: int | None, body: list[Any]) -> list[Command]:
    """Replace the whole set; a command of the same type and name keeps its id."""
    read = read_commands(body)
    before = {(each.type, each.name): each for each in registered(application, guild_id).values()}
    fresh = [command for command in read if (command["type"], command["name"]) not in before]
    _count_creates(state, application, guild_id, len(fresh))
    after: dict[int, Command] = {}
    for payload in read:
        kept = before.get((payload["type"], payload["name"]))
        command = _stored(state, application, guild_id, payload, kept)
        after[command.id] = command
    if guild_id is None:
        application.global_commands = after
    else:
        application.guild_commands[guild_id] = after
    _written(state, application)
    return list(after.values())


def create(state: State, application: Application, guild_id: int | None, body: Json) -> tuple[Command, bool]:
    """Add a command, or replace the one of this type and name; the second value says whether it is new."""
    form = Form()
    payload = read_command(form, body)
    form.check()
    known = registered(application, guild_id)
    key = (payload["type"], payload["name"])
    kept = next((each for each in known.values() if (each.type, each.name) == key), None)
    if kept is None:
        check_count([each.payload for each in known.values()] + [payload])
        _count_creates(state, application, guild_id, 1)
    command = _stored(state, application, guild_id, payload, kept)
    known[command.id] = command
    _written(state, application)
    return command, kept is None


def change(
    state: State, application: Application, guild_id: int | None, command_id: int, body: Json
) -> Command:
    """Change the given fields of a command."""
    kept = find(application, guild_id, command_id)
    form = Form()
    payload = read_command(form, kept.payload | body | {"type": kept.type})
    form.check()
    command = _stored(state, application, guild_id, payload, kept)
    registered(application, guild_id)[command.id] = command
    return command


def remove(application: Application, guild_id: int | None, command_id: int) -> None:
    """Take a command away."""
    find(application, guild_id, command_id)
    del registered(application, guild_id)[command_id]


def _stored(
    state: State, application: Application, guild_id: int | None, payload: Json, kept: Command | None
) -> Command:
    identity = kept.id if kept else state.ids.next()
    whole = payload | {
        "id": str(identity),
        "application_id": str(application.id),
        "version": str(state.ids.next()),
    }
    if guild_id is not None:
        whole["guild_id"] = str(guild_id)
    elif "dm_permission" not in whole:
        whole["dm_permission"] = True
    if kept is not None and kept.payload | {"version": ""} == whole | {"version": ""}:
        return kept
    return Command(identity, whole)


def _count_creates(state: State, application: Application, guild_id: int | None, new: int) -> None:
    now = state.clock.now()
    key = guild_id if guild_id is not None else _EVERYWHERE
    recent = [at for at in application.command_creates.get(key, []) if now - at < DAY]
    if len(recent) + new > DAILY_CREATES:
        raise refusal(30034)
    application.command_creates[key] = recent + [now] * new


def _written(state: State, application: Application) -> None:
    application.commands_written = True
    state.changed.notify()
