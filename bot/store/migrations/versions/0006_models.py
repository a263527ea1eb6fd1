"""Models and adapters that a server chose for a persona."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "persona_models",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("persona", sa.String(32), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("lora", sa.String(200)),
        sa.Column("lora_scale", sa.Float(), server_default="1.0", nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "persona", name="pk_persona_models"),
    )
