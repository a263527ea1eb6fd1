"""Heads are found by the answers that refer to them, and those of no answer go."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Go to this version."""
    op.create_index("ix_answers_head_sha256", "answers", ["head_sha256"])
    op.execute("DELETE FROM heads WHERE sha256 NOT IN (SELECT head_sha256 FROM answers)")
