"""Every limit, and Discord's own word for passing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Table


def row(*children: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(children)}


def button(custom_id: str = "b", **more: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": custom_id} | more


def select(options: int = 1, **more: Any) -> dict[str, Any]:
    listed = [{"label": f"{number}", "value": f"{number}"} for number in range(options)]
    return {"type": 3, "custom_id": "s", "options": listed} | more


def text(content: str) -> dict[str, Any]:
    return {"type": 10, "content": content}


LAYOUT = {"flags": 1 << 15}
FULL = {"description": "x" * 4096}

MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    ({"content": {"a": 1}}, "content", "STRING_TYPE_CONVERT"),
    ({"embeds": [{"title": "x"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"title": "x" * 257}]}, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"description": "x" * 4097}]}, "embeds.0.description", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{}]}, "embeds.0.description", "BASE_TYPE_REQUIRED"),
    ({"embeds": [FULL, {"description": "x" * 1905}]}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    ({"embeds": [{"title": "x", "url": "nowhere"}]}, "embeds.0.url", "URL_TYPE_INVALID_URL"),
    ({"embeds": [{"image": {"url": "ftp://x/y"}}]}, "embeds.0.image.url", "URL_TYPE_INVALID_SCHEME"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]}, "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
    (
        {"embeds": [{"fields": [{"name": "n" * 257, "value": "v"}]}]},
        "embeds.0.fields.0.name",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"embeds": [{"fields": [{"name": "n", "value": "v" * 1025}]}]},
        "embeds.0.fields.0.value",
        "BASE_TYPE_BAD_LENGTH",
    ),
    ({"embeds": [{"fields": [{"name": "n", "value": ""}]}]}, "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    ({"embeds": [{"footer": {"text": "x" * 2049}}]}, "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"author": {"name": "x" * 257}}]}, "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"title": "x", "color": 1 << 24}]}, "embeds.0.color", "NUMBER_TYPE_MAX"),
    ({"embeds": {"title": "x"}}, "embeds", "LIST_TYPE_CONVERT"),
    ({"content": "x", "nonce": "x" * 26}, "nonce", "BASE_TYPE_MAX_LENGTH"),
    ({"content": "x", "tts": "loud"}, "tts", "BOOLEAN_TYPE_CONVERT"),
    (
        {"content": "x", "message_reference": {"message_id": "1"}},
        "message_reference",
        "MESSAGE_REFERENCE_UNKNOWN_MESSAGE",
    ),
    (
        {"content": "x", "allowed_mentions": {"parse": ["all"]}},
        "allowed_mentions.parse.0",
        "BASE_TYPE_CHOICES",
    ),
    (
        {"content": "x", "components": [row(button(str(line))) for line in range(6)]},
        "components",
        "BASE_TYPE_MAX_LENGTH",
    ),
    ({"content": "x", "components": [row()]}, "components.0.components", "BASE_TYPE_REQUIRED"),
    (
        {"content": "x", "components": [row(*(button(str(number)) for number in range(6)))]},
        "components.0.components",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"content": "x", "components": [row(button(), select())]},
        "components.0.components.1",
        "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
    ),
    (
        {"content": "x", "components": [row(button("a"), button("a"))]},
        "components.0.components.1.custom_id",
        "COMPONENT_CUSTOM_ID_DUPLICATED",
    ),
    (
        {"content": "x", "components": [row(button("x" * 101))]},
        "components.0.components.0.custom_id",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"content": "x", "components": [row(button(label="x" * 81))]},
        "components.0.components.0.label",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (
        {"content": "x", "components": [row(button(style=9))]},
        "components.0.components.0.style",
        "BASE_TYPE_CHOICES",
    ),
    (
        {"content": "x", "components": [row(select(26))]},
        "components.0.components.0.options",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"content": "x", "components": [row(select(1, placeholder="x" * 151))]},
        "components.0.components.0.placeholder",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (
        {"content": "x", "components": [row(select(2, min_values=2))]},
        "components.0.components.0.min_values",
        "SELECT_COMPONENT_MIN_VALUES",
    ),
    ({"content": "x", "components": [text("V2 only")]}, "components.0.type", "UNION_TYPE_CHOICES"),
    (
        {"content": "x", "components": [text("y")]} | LAYOUT,
        "content",
        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    ({"components": [text("")]} | LAYOUT, "components.0.content", "BASE_TYPE_REQUIRED"),
    (
        {"components": [text("x" * 2001)] * 2} | LAYOUT,
        "components",
        "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
    ),
    (
        {"components": [{"type": 17, "components": [text("x")] * 40}]} | LAYOUT,
        "components",
        "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
    ),
    (
        {"components": [{"type": 9, "components": [text("x")]}]} | LAYOUT,
        "components.0.accessory",
        "BASE_TYPE_REQUIRED",
    ),
]


@pytest.mark.parametrize(
    ("body", "path", "word"), MESSAGES, ids=[f"{path}-{word}" for _, path, word in MESSAGES]
)
async def test_a_message_that_discord_would_not_take(
    table: Table, body: dict[str, Any], path: str, word: str
) -> None:
    reply = await table.api("POST", f"/channels/{table.channel.id}/messages", body)
    assert (reply.status, reply.code, reply.json["message"]) == (400, 50035, "Invalid Form Body")
    assert reply.faults() == {path: word}
    assert table.room.messages(table.channel) == []


async def test_a_message_at_the_very_limits_is_taken(table: Table) -> None:
    body = {
        "content": "🎲" * 2000,
        "embeds": [FULL, {"description": "x" * 1904}],
        "components": [row(*(button(f"{line}{number}"[:100]) for number in range(5))) for line in range(4)]
        + [row(select(25, placeholder="x" * 150))],
        "nonce": "n" * 25,
    }
    assert (await table.api("POST", f"/channels/{table.channel.id}/messages", body)).status == 200
    page = {"components": [{"type": 17, "components": [text("x" * 100)] * 39}]} | LAYOUT
    assert (await table.api("POST", f"/channels/{table.channel.id}/messages", page)).status == 200


WEBHOOK_NAMES = [
    ("", "BASE_TYPE_REQUIRED"),
    ("x" * 81, "BASE_TYPE_BAD_LENGTH"),
    ("Bonny Clyde", "USERNAME_INVALID_CONTAINS"),
    ("DISCORDia", "USERNAME_INVALID_CONTAINS"),
    ("everyone", "USERNAME_INVALID"),
    ("Here", "USERNAME_INVALID"),
]


@pytest.mark.parametrize(("name", "word"), WEBHOOK_NAMES)
async def test_a_name_that_no_webhook_may_have(table: Table, name: str, word: str) -> None:
    path = f"/channels/{table.channel.id}/webhooks"
    assert (await table.api("POST", path, {"name": name})).faults() == {"name": word}
    made = (await table.api("POST", path, {"name": "Mara"})).json
    execute = f"/webhooks/{made['id']}/{made['token']}"
    spoken = await table.api("POST", execute, {"content": "Hm.", "username": name}, token=None)
    assert spoken.faults() == {"username": word}


COMMAND = {"name": "roll", "description": "Roll dice", "type": 1}


def option(**more: Any) -> dict[str, Any]:
    return {"type": 3, "name": "dice", "description": "Which"} | more


def choices(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"{number}", "value": f"{number}"} | more for number in range(count)]


COMMANDS: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "Roll"}, "name", "APPLICATION_COMMAND_INVALID_NAME"),
    ({"name": "roll dice"}, "name", "APPLICATION_COMMAND_INVALID_NAME"),
    ({"name": "röll!"}, "name", "APPLICATION_COMMAND_INVALID_NAME"),
    ({"name": "x" * 33}, "name", "BASE_TYPE_BAD_LENGTH"),
    ({"name": ""}, "name", "BASE_TYPE_REQUIRED"),
    ({"description": ""}, "description", "BASE_TYPE_REQUIRED"),
    ({"description": "x" * 101}, "description", "BASE_TYPE_BAD_LENGTH"),
    ({"type": 9}, "type", "BASE_TYPE_CHOICES"),
    ({"options": [option(name=f"o{number}") for number in range(26)]}, "options", "BASE_TYPE_MAX_LENGTH"),
    ({"options": [option(), option()]}, "options.1", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID"),
    (
        {"options": [option(), option(name="late", required=True)]},
        "options.1",
        "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
    ),
    ({"options": [option(choices=choices(26))]}, "options.0.choices", "BASE_TYPE_MAX_LENGTH"),
    (
        {"options": [option(choices=choices(1, name="x" * 101))]},
        "options.0.choices.0.name",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"options": [option(choices=choices(1, value="x" * 101))]},
        "options.0.choices.0.value",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (
        {"options": [option(choices=choices(1), autocomplete=True)]},
        "options.0.autocomplete",
        "APPLICATION_COMMAND_AUTOCOMPLETE_INVALID",
    ),
    ({"options": [option(type=12)]}, "options.0.type", "BASE_TYPE_CHOICES"),
    ({"options": [option(max_length=6001)]}, "options.0.max_length", "NUMBER_TYPE_MAX"),
    (
        {"options": [option(), option(type=1, name="sub")]},
        "options",
        "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
    ),
    (
        {
            "options": [
                option(name=f"o{number}", choices=choices(25, name="x" * 20, value="y" * 20))
                for number in range(8)
            ]
        },
        "options",
        "APPLICATION_COMMAND_TOO_LARGE",
    ),
    (
        {"type": 3, "name": "Remember", "options": [option()]},
        "options",
        "APPLICATION_COMMAND_INVALID_OPTIONS",
    ),
]


@pytest.mark.parametrize(
    ("change", "path", "word"), COMMANDS, ids=[f"{path}-{word}" for _, path, word in COMMANDS]
)
async def test_a_command_that_discord_would_not_register(
    table: Table, change: dict[str, Any], path: str, word: str
) -> None:
    body = COMMAND | change
    if body["type"] == 3:
        body["description"] = ""
    reply = await table.api("POST", f"/applications/{table.application.id}/commands", body)
    assert reply.code == 50035
    assert reply.faults()[path] == word
    assert table.room.commands(table.application) == []


async def test_sets_of_commands_have_limits_of_their_own(table: Table) -> None:
    path = f"/applications/{table.application.id}/commands"
    many = [COMMAND | {"name": f"c{number}"} for number in range(101)]
    assert (await table.api("PUT", path, many)).code == 30032
    assert (await table.api("PUT", path, many[:100])).status == 200
    menus = [{"name": f"Menu {number}", "type": 3} for number in range(16)]
    assert (await table.api("PUT", path, menus)).code == 30032
    assert (await table.api("PUT", path, [COMMAND, COMMAND])).faults() == {
        "1.name": "APPLICATION_COMMANDS_DUPLICATE_NAME"
    }
    assert (await table.api("PUT", path, {"not": "a list"})).code == 50035
    renamed = [COMMAND | {"name": f"d{number}"} for number in range(100)]
    assert (await table.api("PUT", path, renamed)).status == 200
    over = await table.api("PUT", path, many[:100])
    assert (over.status, over.code) == (429, 30034), "the two hundred creates of a day are used up"
    table.clock.advance(86_401)
    assert (await table.api("PUT", path, many[:100])).status == 200
    assert (await table.api("PUT", "/applications/1/commands", [])).code == 20012


UNKNOWN = [
    ("GET", "/channels/1", 404, 10003),
    ("GET", "/channels/{channel}/messages/1", 404, 10008),
    ("GET", "/webhooks/1", 404, 10015),
    ("GET", "/guilds/1", 404, 10004),
    ("GET", "/guilds/{guild}/members/1", 404, 10007),
    ("GET", "/users/1", 404, 10013),
    ("GET", "/applications/{application}/commands/1", 404, 10063),
    ("POST", "/interactions/1/none/callback", 404, 10062),
    ("POST", "/webhooks/{application}/none", 404, 10015),
    ("GET", "/channels/abc", 400, 50035),
    ("GET", "/nowhere", 404, 0),
    ("PUT", "/channels/{channel}/thread-members/@me", 400, 50024),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), UNKNOWN)
async def test_what_is_not_there(table: Table, method: str, path: str, status: int, code: int) -> None:
    ids = {"channel": table.channel.id, "guild": table.guild.id, "application": table.application.id}
    reply = await table.api(method, path.format(**ids))
    assert (reply.status, reply.code) == (status, code)


async def test_what_is_no_request(table: Table) -> None:
    path = f"/channels/{table.channel.id}/messages"
    assert (await table.api("GET", path, token=None)).status == 401
    assert (await table.api("GET", path, token="wrong")).json == {"message": "401: Unauthorized", "code": 0}
    broken = await table.api("POST", path, data=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status, broken.code) == (400, 50109)
    plain = await table.api("POST", path, data=b"content=x", headers={"Content-Type": "text/plain"})
    assert (plain.status, plain.code) == (400, 50035)
    assert (await table.api("POST", path, ["x"])).code == 50035


async def test_answers_are_plain_json_with_limits_in_the_headers(table: Table) -> None:
    reply = await table.api("GET", "/users/@me")
    assert reply.headers["Content-Type"] == "application/json"
    names = ("Limit", "Remaining", "Reset", "Reset-After", "Bucket")
    assert all(f"X-RateLimit-{name}" in reply.headers for name in names)
