from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import TableError
from bot.rehearsal.permissions import ALL, EVERYONE, Overwrite, Permission, apply_overwrites, base_permissions

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Table

bits = st.integers(0, (1 << 53) - 1).map(Permission)


async def test_a_bot_that_may_not_make_webhooks_can_still_speak(table: Table) -> None:
    table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    refused = await table.api("POST", f"/channels/{table.channel.id}/webhooks", {"name": "Mara"})
    assert (refused.status, refused.code) == (403, 50013)
    path = f"/channels/{table.channel.id}/messages"
    assert (await table.api("POST", path, {"content": "**Mara**: Hm."})).status == 200


async def test_a_hidden_channel_is_closed_to_the_bot_and_its_gateway(table: Table) -> None:
    path = f"/channels/{table.channel.id}/messages"
    async with table.actor() as bot:
        table.channel.deny(table.application, Permission.VIEW_CHANNEL)
        refused = await table.api("GET", path)
        assert (refused.status, refused.code) == (403, 50001)
        await table.room.say(table.ann, table.channel, "They cannot hear us.")
        table.channel.allow(table.application, Permission.VIEW_CHANNEL)
        said = await table.room.say(table.ann, table.channel, "Now they can.")
        await bot.hear(said.id)
        assert bot.lines == ["Now they can."]


MISSING = [
    (Permission.SEND_MESSAGES, "POST", "messages", {"content": "x"}, 50013),
    (Permission.EMBED_LINKS, "POST", "messages", {"embeds": [{"title": "x"}]}, 50013),
    (Permission.SEND_MESSAGES, "POST", "typing", None, 50013),
    (Permission.READ_MESSAGE_HISTORY, "GET", "messages/{said}", None, 50013),
    (Permission.ADD_REACTIONS, "PUT", "messages/{said}/reactions/🎲/@me", None, 50013),
    (Permission.CREATE_PUBLIC_THREADS, "POST", "threads", {"name": "x", "type": 11}, 50013),
    (Permission.CREATE_PUBLIC_THREADS, "POST", "messages/{said}/threads", {"name": "x"}, 50013),
    (
        Permission.READ_MESSAGE_HISTORY,
        "POST",
        "messages",
        {"content": "x", "message_reference": {"message_id": "{said}"}},
        160002,
    ),
    (Permission.MANAGE_MESSAGES, "DELETE", "messages/{said}", None, 50013),
    (Permission.MANAGE_MESSAGES, "PATCH", "messages/{said}", {"flags": 4}, 50013),
    (Permission.NONE, "PATCH", "messages/{said}", {"content": "x"}, 50005),
    (Permission.MANAGE_CHANNELS, "PATCH", "", {"name": "x"}, 50013),
]


@pytest.mark.parametrize(("missing", "method", "path", "body", "code"), MISSING)
async def test_each_thing_needs_its_permission(
    table: Table, missing: Permission, method: str, path: str, body: dict[str, object] | None, code: int
) -> None:
    said = await table.room.say(table.ann, table.channel, "Mine.")
    if body is not None and "message_reference" in body:
        body = body | {"message_reference": {"message_id": str(said.id)}}
    table.guild.set_permissions(table.application, int(ALL & ~Permission.ADMINISTRATOR))
    table.channel.deny(table.application, missing)
    place = f"/channels/{table.channel.id}/{path.format(said=said.id)}".rstrip("/")
    refused = await table.api(method, place, body)
    assert (refused.status, refused.code) == (403, code)


async def test_without_history_a_channel_reads_as_empty(table: Table) -> None:
    await table.room.say(table.ann, table.channel, "Before.")
    table.channel.deny(table.application, Permission.READ_MESSAGE_HISTORY)
    assert (await table.api("GET", f"/channels/{table.channel.id}/messages")).json == []


async def test_a_thread_asks_for_its_own_permission_to_write(table: Table) -> None:
    thread = await table.room.open_thread(table.ann, table.channel, "Aside")
    path = f"/channels/{thread.id}/messages"
    table.channel.deny(table.application, Permission.SEND_MESSAGES)
    assert (await table.api("POST", path, {"content": "x"})).status == 200
    table.channel.allow(table.application, Permission.SEND_MESSAGES)
    table.channel.deny(table.application, Permission.SEND_MESSAGES_IN_THREADS)
    assert (await table.api("POST", path, {"content": "x"})).code == 50013


async def test_people_are_held_to_their_permissions_too(table: Table) -> None:
    table.channel.deny(table.ben, Permission.SEND_MESSAGES)
    with pytest.raises(TableError, match="Missing Permissions"):
        await table.room.say(table.ben, table.channel, "Hm?")
    table.channel.deny(table.ann, Permission.SEND_MESSAGES)
    assert await table.room.say(table.ann, table.channel, "I own this place.")


@given(bits, st.lists(bits, max_size=3))
def test_an_administrator_or_owner_may_do_everything(everyone: Permission, roles: list[Permission]) -> None:
    assert base_permissions(everyone, roles, owner=True) == ALL
    assert base_permissions(everyone, [*roles, Permission.ADMINISTRATOR], owner=False) == ALL


@given(bits, bits, bits)
def test_a_members_own_overwrite_has_the_last_word(
    base: Permission, allow: Permission, deny: Permission
) -> None:
    allow |= Permission.VIEW_CHANNEL
    deny &= ~(allow | Permission.ADMINISTRATOR)
    base &= ~Permission.ADMINISTRATOR
    overwrites = {
        1: Overwrite(1, 0, deny=ALL),
        2: Overwrite(2, 0, deny=allow),
        3: Overwrite(3, 1, allow, deny),
    }
    found = apply_overwrites(base, overwrites, 1, [2], 3)
    assert found & allow == allow
    assert not found & deny


def test_roles_are_applied_together_so_that_an_allow_wins() -> None:
    overwrites = {
        2: Overwrite(2, 0, deny=Permission.SEND_MESSAGES),
        3: Overwrite(3, 0, allow=Permission.SEND_MESSAGES),
    }
    assert Permission.SEND_MESSAGES in apply_overwrites(EVERYONE, overwrites, 1, [2, 3], 9)
