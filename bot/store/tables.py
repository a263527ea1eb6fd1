"""The tables. Ids of guilds, channels, messages, users are Discord's snowflakes; times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One claim for every Discord event, whether it came live, by a resume or by reading the history.
claims = Table(
    "claims",
    metadata,
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
)

scenes = Table(
    "scenes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("guild_id", BigInteger),
    Column("channel_id", BigInteger, nullable=False),
    Column("parent_id", BigInteger),
    Column("title", String(100), nullable=False),
    Column("premise", Text, nullable=False, server_default=""),
    Column("mode", String(16), nullable=False),
    Column("lead", String(32), nullable=False),
    Column("model", String(200)),
    Column("state", String(8), nullable=False),
    Column("started_by", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    # The first entry of the window, by its seq: kept, so that a restart sends the same prefix.
    Column("window_start", Integer, nullable=False, server_default="0"),
    # Messages later than this one belong to the scene; moved on when a pause ends.
    Column("heard_from", BigInteger, nullable=False),
    Index(
        "uq_scenes_channel_id_open",
        "channel_id",
        unique=True,
        sqlite_where=text("state != 'ended'"),
    ),
    sqlite_autoincrement=True,
)

cast = Table(
    "cast",
    metadata,
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), primary_key=True),
    Column("persona", String(32), primary_key=True),
    Column("position", Integer, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False),
    Column("state", String(8), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("ix_turns_open", "scene_id", sqlite_where=text("state = 'open'")),
    sqlite_autoincrement=True,
)

entries = Table(
    "entries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False),
    # The place in the log. An answer takes its place when it is begun, so that what the players say
    # meanwhile stands after it: the next prompt then extends the one that asked for the answer.
    Column("seq", Integer, nullable=False),
    Column("turn_id", ForeignKey("turns.id", ondelete="SET NULL"), index=True),
    Column("kind", String(16), nullable=False),
    Column("speaker", String(100), nullable=False),
    Column("author_id", BigInteger),
    Column("persona", String(32)),
    Column("text", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("edited_at", Float),
    Column("tokens", Integer),
    Column("fingerprint", String(64)),
    # Who may know of it: slugs of personas and `@` with a member's id, by commas; NULL: all who were there.
    Column("audience", Text),
    UniqueConstraint("scene_id", "seq"),
    # What not all know of is asked for with every summary, and is a small part of a long log.
    Index("ix_entries_private", "scene_id", "seq", sqlite_where=text("audience IS NOT NULL")),
    sqlite_autoincrement=True,
)

# The answers that a turn has promised, in the order in which they are given.
replies = Table(
    "replies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("turn_id", ForeignKey("turns.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("persona", String(32), nullable=False),
    Column("state", String(8), nullable=False),
    Column("entry_id", ForeignKey("entries.id", ondelete="SET NULL"), index=True),
    UniqueConstraint("turn_id", "persona"),
    sqlite_autoincrement=True,
)

# Which message of Discord shows which entry. A long answer is shown by several.
messages = Table(
    "messages",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False),
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), index=True),
    Column("reply_id", ForeignKey("replies.id", ondelete="CASCADE"), index=True),
    Index("ix_messages_latest", "scene_id", "message_id"),
)

# What a server chose for the scenes that it will start.
preferences = Table(
    "preferences",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("persona", String(32)),
    Column("model", String(200)),
)

# What a server chose for a persona's answers, in place of what the persona's file says.
persona_models = Table(
    "persona_models",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("persona", String(32), primary_key=True),
    Column("model", String(200)),
    # A LoRA adapter; '' for none at all, NULL for the file's own.
    Column("lora", String(200)),
    Column("lora_scale", Float, nullable=False, server_default="1.0"),
)

# Small facts about this installation, such as the hash of the commands that Discord was last told.
facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

# The characters that a server's members brought or made. Their slug is `stem.id`.
personas = Table(
    "personas",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("guild_id", BigInteger, nullable=False, index=True),
    Column("stem", String(20), nullable=False),
    # The whole character card, as JSON: what is not understood now is there when it is.
    Column("card", Text, nullable=False),
    # SHA-256 of the face, in hex; the face itself is in `file` or in the card.
    Column("face", String(64)),
    Column("created_by", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    # The PNG or CHARX that the card came in. Last, so that reading the others does not read it.
    Column("file", LargeBinary),
    sqlite_autoincrement=True,
)

# The texts that stood in front of the log (instructions, scene, cards) when answers were given, and behind a
# form feed what was told behind the log, by their SHA-256 in hex: a card or premise that is changed later
# does not change what an earlier prompt was. One that no answer refers to any more goes with the last one.
heads = Table(
    "heads",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)

# What each answer was made of: all that is needed to rebuild its prompt, and what it cost.
answers = Table(
    "answers",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("backend", String(200), nullable=False),
    Column("model", String(200)),
    # The tokenizer and chat template, as the backend names them.
    Column("fingerprint", String(64), nullable=False),
    Column("seed", BigInteger),
    # As JSON: an object, and a list.
    Column("sampling", Text, nullable=False),
    Column("stop", Text, nullable=False),
    Column("max_tokens", Integer, nullable=False),
    Column("prompt_sha256", String(64), nullable=False),
    Column("head_sha256", ForeignKey("heads.sha256"), nullable=False),
    # Which entries stood in the prompt, by their seq: `3-17,19`.
    Column("window", Text, nullable=False),
    # Those of them that stood there shortened, with what they had then in characters, as JSON: {"5": 300}.
    Column("shortened", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
    # Tokens. `exact` says whether the prompt's are a tokenizer's; NULL is what the server did not tell.
    Column("context_length", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("exact", Boolean, nullable=False),
    Column("evaluated_tokens", Integer),
    Column("completion_tokens", Integer),
    # Seconds since the request was sent.
    Column("first_token_s", Float),
    Column("seconds", Float, nullable=False),
    Index("ix_answers_head_sha256", "head_sha256"),
)

# The lorebooks of a server, each as the file it came as: `frame` is its JSON without the entries.
lorebooks = Table(
    "lorebooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("guild_id", BigInteger, nullable=False),
    Column("name", String(80), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("frame", Text, nullable=False),
    Column("created_by", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("guild_id", "name"),
    sqlite_autoincrement=True,
)

# Their entries, each as the file has it, in the file's order. Ids are never used again: the log names them.
lore_entries = Table(
    "lore_entries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("book_id", ForeignKey("lorebooks.id", ondelete="CASCADE"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("key", Text),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("document", Text, nullable=False),
    Index("ix_lore_entries_book_id", "book_id", "place"),
    sqlite_autoincrement=True,
)

# Which entry of the log tells which lore, and what woke it. A character's own book is named `persona:SLUG`.
lore_fired = Table(
    "lore_fired",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("book", String(48), nullable=False),
    Column("uid", String(48), nullable=False),
    Column("because", Text, nullable=False),
    # The count of the scene's messages from which sticky, cooldown and the like run.
    Column("since", Integer, nullable=False),
)
