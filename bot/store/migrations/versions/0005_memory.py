"""What outlives the window: presence, sessions, summaries, pins, secrets, vectors, recalled memories."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


# A session begins with the first entry after four hours of silence.
SESSIONS = """
    INSERT INTO sessions (scene_id, number, first_seq, started_at)
    SELECT scene_id, row_number() OVER (PARTITION BY scene_id ORDER BY seq), seq, created_at
    FROM (
        SELECT scene_id, seq, created_at,
               lag(created_at) OVER (PARTITION BY scene_id ORDER BY seq) AS before
        FROM entries
    )
    WHERE before IS NULL OR created_at - before >= 14400
"""


def upgrade() -> None:
    """Go to this version."""
    op.add_column("entries", sa.Column("audience", sa.Text()))
    _knowledge()
    _summaries()
    _recall()
    _passages()
    # Whoever is in a cast now has been there from the start, as far as is known.
    op.execute('INSERT INTO presence (scene_id, persona, first_seq) SELECT scene_id, persona, 0 FROM "cast"')
    op.execute(SESSIONS)


def _knowledge() -> None:
    op.create_table(
        "presence",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("persona", sa.String(32), nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_presence"),
        _of("presence", "scene"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_presence_scene_id", "presence", ["scene_id", "persona"])
    op.create_table(
        "sessions",
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("scene_id", "number", name="pk_sessions"),
        _of("sessions", "scene"),
    )
    op.create_table(
        "pins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("pinned_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pins"),
        _of("pins", "scene"),
        _of("pins", "entry"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pins_scene_id", "pins", ["scene_id"])
    op.create_index("ix_pins_entry_id", "pins", ["entry_id"])
    op.create_table(
        "secrets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_secrets"),
        _of("secrets", "scene"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_secrets_scene_id", "secrets", ["scene_id"])
    op.create_table(
        "whispers",
        sa.Column("turn_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("turn_id", name="pk_whispers"),
        _of("whispers", "turn"),
    )


def _summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("persona", sa.String(32), server_default="", nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("stale", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_summaries"),
        _of("summaries", "scene"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_summaries_scene_id", "summaries", ["scene_id", "persona", "level", "first_seq"])


def _recall() -> None:
    op.create_table(
        "vectors",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("scale", sa.Float(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "model", name="pk_vectors"),
        _of("vectors", "entry"),
    )
    op.create_table(
        "recalled",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "source_id", name="pk_recalled"),
        _of("recalled", "entry"),
        sa.ForeignKeyConstraint(
            ["source_id"], ["entries.id"], name="fk_recalled_source_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_recalled_source_id", "recalled", ["source_id"])


def _passages() -> None:
    """Index what was said by its words."""
    op.execute(
        """
        CREATE VIRTUAL TABLE passages USING fts5(
            speaker, text, content='', detail='none', tokenize='porter unicode61 remove_diacritics 2'
        )
        """
    )
    op.execute(
        """
        CREATE TRIGGER passages_insert AFTER INSERT ON entries
        WHEN new.kind IN ('player', 'answer', 'opening', 'note') BEGIN
            INSERT INTO passages (rowid, speaker, text)
            VALUES (new.scene_id << 32 | new.seq, new.speaker, substr(new.text, 1, 20000));
        END
        """
    )
    op.execute(
        """
        CREATE TRIGGER passages_delete AFTER DELETE ON entries
        WHEN old.kind IN ('player', 'answer', 'opening', 'note') BEGIN
            INSERT INTO passages (passages, rowid, speaker, text)
            VALUES ('delete', old.scene_id << 32 | old.seq, old.speaker, substr(old.text, 1, 20000));
        END
        """
    )
    op.execute(
        """
        CREATE TRIGGER passages_update AFTER UPDATE OF speaker, text ON entries
        WHEN old.kind IN ('player', 'answer', 'opening', 'note') BEGIN
            INSERT INTO passages (passages, rowid, speaker, text)
            VALUES ('delete', old.scene_id << 32 | old.seq, old.speaker, substr(old.text, 1, 20000));
            INSERT INTO passages (rowid, speaker, text)
            VALUES (new.scene_id << 32 | new.seq, new.speaker, substr(new.text, 1, 20000));
        END
        """
    )
    op.execute(
        """
        INSERT INTO passages (rowid, speaker, text)
        SELECT scene_id << 32 | seq, speaker, substr(text, 1, 20000) FROM entries
        WHERE kind IN ('player', 'answer', 'opening', 'note')
        """
    )


def _of(table: str, what: str) -> sa.ForeignKeyConstraint:
    owner = {"scene": "scenes.id", "entry": "entries.id", "turn": "turns.id"}[what]
    return sa.ForeignKeyConstraint([f"{what}_id"], [owner], name=f"fk_{table}_{what}_id", ondelete="CASCADE")
