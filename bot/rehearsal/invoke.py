"""How a member calls a command: what the client lets them type, and what the bot is sent.

Discord's client checks a command against its registration before it sends it; so does this.
Everything a member could not do raises TableError with what to do instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.rehearsal import command_forms as forms
from bot.rehearsal.guilds import Channel, Member, Role
from bot.rehearsal.message_forms import Upload
from bot.rehearsal.message_payloads import attachment_payload
from bot.rehearsal.messages import Attachment
from bot.rehearsal.payloads import channel_payload, member_payload, role_payload, user_payload
from bot.rehearsal.people import Application, Command, User
from bot.rehearsal.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.state import State

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CommandPath:
    """A command or subcommand that a member can call: the chain of payloads down to the one with options."""

    application: Application
    command: Command
    chain: tuple[Json, ...]

    @property
    def name(self) -> str:
        """The words after the slash."""
        return " ".join(part["name"] for part in self.chain)

    @property
    def options(self) -> list[Json]:
        """The options that take values."""
        return list(self.chain[-1].get("options", []))


@dataclass(slots=True)
class Resolved:
    """What the ids among an interaction's values stand for."""

    parts: dict[str, Json] = field(default_factory=dict)

    def user(self, user: User, channel: Channel) -> str:
        """Note a user, and their membership where there is one."""
        self.parts.setdefault("users", {})[str(user.id)] = user_payload(user)
        member = channel.guild.members.get(user.id) if channel.guild else None
        if member is not None:
            permissions = {"permissions": str(int(channel.permissions(user)))}
            self.parts.setdefault("members", {})[str(user.id)] = member_payload(member) | permissions
        return str(user.id)

    def role(self, role: Role) -> str:
        """Note a role."""
        self.parts.setdefault("roles", {})[str(role.id)] = role_payload(role)
        return str(role.id)

    def channel(self, target: Channel, user: User) -> str:
        """Note a channel."""
        permissions = {"permissions": str(int(target.permissions(user)))}
        self.parts.setdefault("channels", {})[str(target.id)] = channel_payload(target) | permissions
        return str(target.id)


def callables(applications: list[Application], channel: Channel) -> list[CommandPath]:
    """Give every slash command and subcommand that could be called in a channel."""
    guild_id = channel.guild.id if channel.guild else None
    return [
        found
        for application in applications
        for command in application.commands(guild_id)
        if command.type == forms.CHAT
        for found in _leaves(application, command, (command.payload,))
    ]


def find(applications: list[Application], channel: Channel, name: str) -> CommandPath:
    """Find a slash command by its words."""
    words = " ".join(name.lower().removeprefix("/").split())
    known = callables(applications, channel)
    for found in known:
        if found.name == words:
            return found
    near = [f"/{each.name}" for each in known if each.name.startswith(words.split(" ")[0])]
    hint = f"There are {', '.join(near[:10])}." if near else "No bot here has registered it."
    raise TableError(f"There is no command /{words}.", hint=hint)


def find_menu(applications: list[Application], channel: Channel, name: str, kind: int) -> CommandPath:
    """Find an entry of the menu on a message or a user."""
    guild_id = channel.guild.id if channel.guild else None
    for application in applications:
        for command in application.commands(guild_id):
            if command.type == kind and command.name == name:
                return CommandPath(application, command, (command.payload,))
    raise TableError(f"There is no menu entry {name!r}.")


def check_use(found: CommandPath, member: User, channel: Channel) -> None:
    """Refuse what Discord's client would not show: missing permissions, age restriction, direct messages."""
    payload = found.command.payload
    held = channel.permissions(member)
    wanted = payload.get("default_member_permissions")
    if channel.guild is None:
        if payload.get("dm_permission") is False or 1 not in (payload.get("contexts") or [1]):
            raise TableError(f"/{found.name} does not work in direct messages.")
        return
    if 0 not in (payload.get("contexts") or [0]):
        raise TableError(f"/{found.name} does not work in servers.")
    if Permission.USE_APPLICATION_COMMANDS not in held:
        raise TableError("You may not use commands in this channel.")
    if wanted is not None and (int(wanted) == 0 or Permission(int(wanted)) not in held):
        raise TableError(f"You do not have the permissions that /{found.name} asks for.")
    if payload.get("nsfw") and not channel.holder.nsfw:
        raise TableError(f"/{found.name} only works in an age-restricted channel.")


def command_data(
    state: State, found: CommandPath, user: User, channel: Channel, values: Mapping[str, Any]
) -> Json:
    """Write the data of a command call, after checking every option."""
    known = {option["name"]: option for option in found.options}
    for name in values:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise TableError(f"/{found.name} has no option {name!r}.", hint=f"Its options: {listed}.")
    resolved = Resolved()
    given = []
    for name, option in known.items():
        if values.get(name) is not None:
            value = _value(state, option, values[name], user, channel, resolved)
            given.append({"name": name, "type": option["type"], "value": value})
        elif option.get("required"):
            raise TableError(f"/{found.name} needs the option {name!r}: {option['description']}.")
    return _nest(found, given, resolved)


def autocomplete_data(found: CommandPath, values: Mapping[str, Any], focused: str) -> Json:
    """Write the data of a half-typed command: the text so far, and which option the cursor is in."""
    known = {option["name"]: option for option in found.options}
    option = known.get(focused)
    if option is None or not option.get("autocomplete"):
        raise TableError(f"The option {focused!r} of /{found.name} has no autocomplete.")
    given: list[Json] = []
    for name, each in known.items():
        if name == focused:
            value = str(values.get(name, ""))
            given.append({"name": name, "type": each["type"], "value": value, "focused": True})
        elif values.get(name) is not None and each["type"] in {forms.STRING, forms.INTEGER, forms.NUMBER}:
            given.append({"name": name, "type": each["type"], "value": values[name]})
    return _nest(found, given, Resolved())


def menu_data(found: CommandPath, target_id: int, resolved: Resolved) -> Json:
    """Write the data of a menu call."""
    return _nest(found, [], resolved) | {"target_id": str(target_id)}


def _leaves(application: Application, command: Command, chain: tuple[Json, ...]) -> list[CommandPath]:
    inner = [each for each in chain[-1].get("options", []) if each["type"] in {forms.SUBCOMMAND, forms.GROUP}]
    if not inner:
        return [CommandPath(application, command, chain)]
    return [leaf for each in inner for leaf in _leaves(application, command, (*chain, each))]


def _nest(found: CommandPath, given: list[Json], resolved: Resolved) -> Json:
    for part in reversed(found.chain[1:]):
        given = [{"name": part["name"], "type": part["type"], "options": given}]
    payload = found.command.payload
    data: Json = {"id": payload["id"], "name": payload["name"], "type": payload["type"]}
    if given:
        data["options"] = given
    if resolved.parts:
        data["resolved"] = resolved.parts
    if "guild_id" in payload:
        data["guild_id"] = payload["guild_id"]
    return data


def _value(state: State, option: Json, value: Any, user: User, channel: Channel, resolved: Resolved) -> Any:
    kind = option["type"]
    if option.get("choices"):
        return _choice(option, value)
    if kind == forms.STRING:
        return _text(option, str(value))
    if kind in {forms.INTEGER, forms.NUMBER}:
        return _number(option, value)
    if kind == forms.BOOLEAN:
        return _boolean(option, value)
    if kind == forms.ATTACHMENT:
        return _attachment(state, option, value, channel, resolved)
    return chosen_entity(state, option, value, user, channel, resolved)


def _choice(option: Json, value: Any) -> Any:
    for choice in option["choices"]:
        if value in {choice["value"], choice["name"]} or str(value) == str(choice["value"]):
            return choice["value"]
    offered = ", ".join(choice["name"] for choice in option["choices"])
    raise TableError(f"The option {option['name']!r} does not take {value!r}.", hint=f"It offers {offered}.")


def _text(option: Json, value: str) -> str:
    low, high = option.get("min_length", 0), option.get("max_length", 6000)
    if not low <= len(value) <= high:
        raise TableError(f"The option {option['name']!r} takes {low} to {high} characters, not {len(value)}.")
    return value


def _number(option: Json, value: Any) -> int | float:
    whole = option["type"] == forms.INTEGER
    try:
        number: int | float = int(value) if whole else float(value)
    except (TypeError, ValueError):
        raise TableError(f"The option {option['name']!r} takes a number, not {value!r}.") from None
    low, high = option.get("min_value", -(1 << 53)), option.get("max_value", 1 << 53)
    if not low <= number <= high:
        raise TableError(f"The option {option['name']!r} takes {low} to {high}, not {number}.")
    return number


def _boolean(option: Json, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "false": False, "no": False}
    if str(value).lower() not in words:
        raise TableError(f"The option {option['name']!r} takes true or false, not {value!r}.")
    return words[str(value).lower()]


def _attachment(state: State, option: Json, value: Any, channel: Channel, resolved: Resolved) -> str:
    if not isinstance(value, Upload):
        raise TableError(f"The option {option['name']!r} takes a file.")
    kept = Attachment(
        state.ids.next(), channel.id, value.filename, value.data, value.content_type, ephemeral=True
    )
    state.media.keep_attachment(kept)
    resolved.parts.setdefault("attachments", {})[str(kept.id)] = attachment_payload(kept, state.media)
    return str(kept.id)


def entity(state: State, channel: Channel, value: Any) -> User | Role | Channel | None:
    """Find whom or what a value means: an object, an id, a mention, or a name as people see it."""
    if isinstance(value, Member):
        return value.user
    if isinstance(value, Application):
        return value.user
    if isinstance(value, (User, Role, Channel)):
        return value
    text = str(value).strip("<@!&#>")
    roles = channel.guild.roles if channel.guild else {}
    members = channel.guild.members if channel.guild else {user.id: user for user in channel.recipients}
    if text.isdecimal():
        number = int(text)
        return state.users.get(number) or roles.get(number) or state.channels.get(number)
    people = {each.name.lower(): state.users[each.id] for each in members.values()}
    places = {each.name.lower(): each for each in (channel.guild.channels.values() if channel.guild else ())}
    named: dict[str, User | Role | Channel] = {
        **{role.name.lower(): role for role in roles.values()},
        **places,
        **people,
    }
    return named.get(text.lower())


def chosen_entity(
    state: State, option: Json, value: Any, user: User, channel: Channel, resolved: Resolved
) -> str:
    """Give the id of the user, role or channel that a value means, if an option of this type takes it."""
    kind = option["type"]
    target = entity(state, channel, value)
    if isinstance(target, User) and kind in {forms.USER, forms.MENTIONABLE}:
        return resolved.user(target, channel)
    if isinstance(target, Role) and kind in {forms.ROLE, forms.MENTIONABLE}:
        return resolved.role(target)
    allowed = option.get("channel_types")
    if isinstance(target, Channel) and kind == forms.CHANNEL and (not allowed or target.type in allowed):
        return resolved.channel(target, user)
    raise TableError(f"The option {option['name']!r} does not take {value!r}.")
