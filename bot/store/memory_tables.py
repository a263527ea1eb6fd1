"""The tables of what outlives the window. A deleted entry takes with it all that was made from it alone."""

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
    String,
    Table,
    Text,
)

from bot.store.tables import metadata

# When a persona was in a scene's cast: whoever was not there does not know. An open stay has no last seq.
presence = Table(
    "presence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False),
    Column("persona", String(32), nullable=False),
    Column("first_seq", Integer, nullable=False),
    Column("last_seq", Integer),
    Index("ix_presence_scene_id", "scene_id", "persona"),
    sqlite_autoincrement=True,
)

# The evenings of a scene. A session begins with the first entry after a long silence.
sessions = Table(
    "sessions",
    metadata,
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("first_seq", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
)

# What a stretch of the log came to, by level: level 0 sums up entries, level 1 sums up summaries of level 0.
summaries = Table(
    "summaries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False),
    # For whom: the slug of a persona that knows less of it or more, or '' for all others.
    Column("persona", String(32), nullable=False, server_default=""),
    Column("level", Integer, nullable=False),
    # The entries that it covers, by seq, both included.
    Column("first_seq", Integer, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("text", Text, nullable=False),
    # An entry that it covers was changed or deleted since: its text is gone, and it is to be made again.
    Column("stale", Boolean, nullable=False, server_default="0"),
    Column("made_at", Float, nullable=False),
    Index("ix_summaries_scene_id", "scene_id", "persona", "level", "first_seq"),
    sqlite_autoincrement=True,
)

# Facts that the players want remembered word for word. They stand in the prompt's head.
pins = Table(
    "pins",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False, index=True),
    # The entry that says it, if one does: then `text` is empty, and the entry's own counts.
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), index=True),
    Column("text", Text, nullable=False),
    Column("pinned_by", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

# What only the narrator may know.
secrets = Table(
    "secrets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scene_id", ForeignKey("scenes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("created_by", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

# Turns that answer a whisper, while they are open: who may know of the answer, and where it is to be sent.
whispers = Table(
    "whispers",
    metadata,
    Column("turn_id", ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("audience", Text, nullable=False),
    # Discord's for this one interaction; it expires after 15 minutes.
    Column("token", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
)

# What an entry means, as an embedding model sees it: int8 values, to be multiplied by `scale`.
vectors = Table(
    "vectors",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    # The embedding model, as the embedder names it: vectors of two models are never compared.
    Column("model", String(100), primary_key=True),
    Column("scale", Float, nullable=False),
    Column("vector", LargeBinary, nullable=False),
)

# Which memories stand in the log (`entry_id`), and of which entry each of them speaks.
recalled = Table(
    "recalled",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("source_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("score", Float, nullable=False),
    Index("ix_recalled_source_id", "source_id"),
)

PASSAGES = (
    # What was said and noted, to be searched by words. The row of an entry is `scene_id << 32 | seq`: a scene
    # is one range of rows, and neighbours in the log are neighbours here. Only the index is kept: what goes
    # out of it has to be told as it came in. `words_apart` is of `bot/store/spaceless.py`: a program that has
    # no such function can read this database, but write no entry that the index would miss.
    """
    CREATE VIRTUAL TABLE passages USING fts5(
        speaker, text, content='', detail='none', tokenize='porter unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER passages_insert AFTER INSERT ON entries
    WHEN new.kind IN ('player', 'answer', 'opening', 'note') BEGIN
        INSERT INTO passages (rowid, speaker, text)
        VALUES (new.scene_id << 32 | new.seq, words_apart(new.speaker),
                words_apart(substr(new.text, 1, 20000)));
    END
    """,
    """
    CREATE TRIGGER passages_delete AFTER DELETE ON entries
    WHEN old.kind IN ('player', 'answer', 'opening', 'note') BEGIN
        INSERT INTO passages (passages, rowid, speaker, text)
        VALUES ('delete', old.scene_id << 32 | old.seq, words_apart(old.speaker),
                words_apart(substr(old.text, 1, 20000)));
    END
    """,
    """
    CREATE TRIGGER passages_update AFTER UPDATE OF speaker, text ON entries
    WHEN old.kind IN ('player', 'answer', 'opening', 'note') BEGIN
        INSERT INTO passages (passages, rowid, speaker, text)
        VALUES ('delete', old.scene_id << 32 | old.seq, words_apart(old.speaker),
                words_apart(substr(old.text, 1, 20000)));
        INSERT INTO passages (rowid, speaker, text)
        VALUES (new.scene_id << 32 | new.seq, words_apart(new.speaker),
                words_apart(substr(new.text, 1, 20000)));
    END
    """,
)
"""What SQLAlchemy has no words for: the lexical index, and the triggers that keep it, in SQLite's own SQL."""
