"""What each answer was made of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "heads",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_heads"),
    )
    op.create_table(
        "answers",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("backend", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("seed", sa.BigInteger()),
        sa.Column("sampling", sa.Text(), nullable=False),
        sa.Column("stop", sa.Text(), nullable=False),
        sa.Column("max_tokens", sa.Integer(), nullable=False),
        sa.Column("prompt_sha256", sa.String(64), nullable=False),
        sa.Column("head_sha256", sa.String(64), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("shortened", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("context_length", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column("evaluated_tokens", sa.Integer()),
        sa.Column("completion_tokens", sa.Integer()),
        sa.Column("first_token_s", sa.Float()),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_answers"),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_answers_entry_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["head_sha256"], ["heads.sha256"], name="fk_answers_head_sha256"),
    )
