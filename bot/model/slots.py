"""What the CPU server had read, kept on disk from one of its lives to the next.

Only that: while it runs, llama.cpp's own cache in memory keeps the prompts of scenes that share its slots.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from bot.model.cpu_child import Job

MOST_BYTES = 1024 * 1024 * 1024
"""Of all files together: a slot of a model with 1B parameters takes 130 MB for 4096 tokens."""
_CALL_S = 5.0
_SUFFIX = ".slot"


@dataclass(frozen=True, slots=True)
class SavedSlots:
    """The files of one folder. A file is read again only by the same server of the same model."""

    folder: Path

    async def save(self, url: str, job: Job) -> None:
        """Write what each slot holds, in place of what was written before; as many as there is room for."""
        self.forget()
        written = 0
        async with _session(job) as session:
            for slot in range(job.parallel):
                file = self._file(job, slot)
                if not await _ask(session, f"{url}/slots/{slot}?action=save", file.name) or not file.exists():
                    return
                written += file.stat().st_size
                if written > MOST_BYTES:
                    file.unlink(missing_ok=True)
                    return

    def forget(self) -> None:
        """Delete what was written: it holds every word that the server had read."""
        for file in self._files():
            file.unlink(missing_ok=True)

    async def restore(self, url: str, job: Job) -> None:
        """Have the slots read what was written for them; what does not fit is left alone."""
        async with _session(job) as session:
            for slot in range(job.parallel):
                file = self._file(job, slot)
                if file.exists():
                    await _ask(session, f"{url}/slots/{slot}?action=restore", file.name)

    def _files(self) -> list[Path]:
        return list(self.folder.glob(f"*{_SUFFIX}"))

    def _file(self, job: Job, slot: int) -> Path:
        """Name a file after all that has to be the same for it to fit."""
        model = Path(job.model).stat()
        fits = [
            job.model,
            model.st_size,
            model.st_mtime_ns,
            job.context,
            job.parallel,
            job.binary,
            job.flash_attention,
        ]
        key = hashlib.sha256(json.dumps(fits).encode()).hexdigest()[:16]
        return self.folder / f"{key}-{slot}{_SUFFIX}"


def _session(job: Job) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {job.api_key}"}, timeout=aiohttp.ClientTimeout(total=_CALL_S)
    )


async def _ask(session: aiohttp.ClientSession, url: str, filename: str) -> bool:
    """Send one request, and tell whether it was done: nothing depends on it."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.post(url, json={"filename": filename}) as response:
            return response.status == 200
    return False
