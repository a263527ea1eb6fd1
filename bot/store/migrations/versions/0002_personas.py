"""The characters that members bring."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "personas",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("stem", sa.String(20), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("face", sa.String(64)),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("file", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_personas"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_personas_guild_id", "personas", ["guild_id"])
