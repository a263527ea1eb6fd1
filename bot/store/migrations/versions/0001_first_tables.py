"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go to this version."""
    _installation()
    _scenes()
    _log()
    _promises()
    _messages()


def _installation() -> None:
    op.create_table(
        "claims",
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_claims"),
    )
    op.create_table(
        "preferences",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("persona", sa.String(32)),
        sa.Column("model", sa.String(200)),
        sa.PrimaryKeyConstraint("guild_id", name="pk_preferences"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )


def _scenes() -> None:
    op.create_table(
        "scenes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger()),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("premise", sa.Text(), server_default="", nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("lead", sa.String(32), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("started_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("window_start", sa.Integer(), server_default="0", nullable=False),
        sa.Column("heard_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scenes"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_scenes_channel_id_open",
        "scenes",
        ["channel_id"],
        unique=True,
        sqlite_where=sa.text("state != 'ended'"),
    )
    op.create_table(
        "cast",
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("persona", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scene_id", "persona", name="pk_cast"),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"], name="fk_cast_scene_id", ondelete="CASCADE"),
    )


def _log() -> None:
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"], name="fk_turns_scene_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_turns_open", "turns", ["scene_id"], sqlite_where=sa.text("state = 'open'"))
    op.create_table(
        "entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.Integer()),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("speaker", sa.String(100), nullable=False),
        sa.Column("author_id", sa.BigInteger()),
        sa.Column("persona", sa.String(32)),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("edited_at", sa.Float()),
        sa.Column("tokens", sa.Integer()),
        sa.Column("fingerprint", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sa.UniqueConstraint("scene_id", "seq", name="uq_entries_scene_id_seq"),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"], name="fk_entries_scene_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_entries_turn_id", ondelete="SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_entries_turn_id", "entries", ["turn_id"])


def _promises() -> None:
    op.create_table(
        "replies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("persona", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("entry_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_replies"),
        sa.UniqueConstraint("turn_id", "persona", name="uq_replies_turn_id_persona"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_replies_turn_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name="fk_replies_entry_id", ondelete="SET NULL"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_replies_turn_id", "replies", ["turn_id"])
    op.create_index("ix_replies_entry_id", "replies", ["entry_id"])


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("scene_id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer()),
        sa.Column("reply_id", sa.Integer()),
        sa.PrimaryKeyConstraint("message_id", name="pk_messages"),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"], name="fk_messages_scene_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name="fk_messages_entry_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["reply_id"], ["replies.id"], name="fk_messages_reply_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_messages_entry_id", "messages", ["entry_id"])
    op.create_index("ix_messages_reply_id", "messages", ["reply_id"])
    op.create_index("ix_messages_latest", "messages", ["scene_id", "message_id"])
