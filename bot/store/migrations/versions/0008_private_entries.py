"""What not all who were there know of is found without a look at the whole log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Go to this version."""
    op.create_index(
        "ix_entries_private", "entries", ["scene_id", "seq"], sqlite_where=sa.text("audience IS NOT NULL")
    )
