"""Lorebooks, and what of them was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "lorebooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("frame", sa.Text(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lorebooks"),
        sa.UniqueConstraint("guild_id", "name", name="uq_lorebooks_guild_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lore_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lore_entries"),
        sa.ForeignKeyConstraint(
            ["book_id"], ["lorebooks.id"], name="fk_lore_entries_book_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lore_entries_book_id", "lore_entries", ["book_id", "place"])
    op.create_table(
        "lore_fired",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("book", sa.String(48), nullable=False),
        sa.Column("uid", sa.String(48), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_lore_fired"),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name="fk_lore_fired_entry_id", ondelete="CASCADE"
        ),
    )
