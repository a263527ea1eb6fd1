"""What is written without spaces between its words is found by them."""

from __future__ import annotations

import sqlalchemy as sa
import structlog
from alembic import op

revision = "0009"
down_revision = "0008"

TOLD = "kind IN ('player', 'answer', 'opening', 'note')"
# Entries that the index is to read in another way than until now; there are none at most tables.
TO_CHANGE = f"""
    FROM entries WHERE {TOLD} AND (
        words_apart(speaker) <> speaker OR words_apart(substr(text, 1, 20000)) <> substr(text, 1, 20000)
    ) ORDER BY scene_id, seq
"""


def upgrade() -> None:
    """Go to this version."""
    for name in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER passages_{name}")
    _index_anew()
    op.execute(
        """
        CREATE TRIGGER passages_insert AFTER INSERT ON entries
        WHEN new.kind IN ('player', 'answer', 'opening', 'note') BEGIN
            INSERT INTO passages (rowid, speaker, text)
            VALUES (new.scene_id << 32 | new.seq, words_apart(new.speaker),
                    words_apart(substr(new.text, 1, 20000)));
        END
        """
    )
    op.execute(
        """
        CREATE TRIGGER passages_delete AFTER DELETE ON entries
        WHEN old.kind IN ('player', 'answer', 'opening', 'note') BEGIN
            INSERT INTO passages (passages, rowid, speaker, text)
            VALUES ('delete', old.scene_id << 32 | old.seq, words_apart(old.speaker),
                    words_apart(substr(old.text, 1, 20000)));
        END
        """
    )
    op.execute(
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
        """
    )


def _index_anew() -> None:
    """Have the index forget what it read, and read it with its words apart. It writes as it goes."""
    count = op.get_bind().execute(sa.text(f"SELECT count(*) {TO_CHANGE}")).scalar_one()
    if not count:
        return
    structlog.get_logger("store").info("indexing_anew", entries=count)
    op.execute(
        "INSERT INTO passages (passages, rowid, speaker, text)"
        f" SELECT 'delete', scene_id << 32 | seq, speaker, substr(text, 1, 20000) {TO_CHANGE}"
    )
    op.execute(
        "INSERT INTO passages (rowid, speaker, text)"
        f" SELECT scene_id << 32 | seq, words_apart(speaker), words_apart(substr(text, 1, 20000)) {TO_CHANGE}"
    )
