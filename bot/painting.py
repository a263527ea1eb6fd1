"""Having a picture drawn in a process of its own: Pillow would take 10 MiB of the bot's memory for good."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import structlog

from bot.settings import PROJECT

LONGEST_S = 20.0
"""On a busy machine; Discord waits for 15 minutes."""


async def painted(module: str, what: object) -> bytes | None:
    """Have `python -m module` draw `what` it reads as JSON, in about 0.4 s, and give what it writes, a PNG.

    None if that fails; the log says why.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=PROJECT, env=_harmless_environment(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            picture, said = await child.communicate(json.dumps(what).encode())
    except TimeoutError:
        picture, said = b"", b"it took too long"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == 0:
        return picture
    log = structlog.get_logger("hearthside.picture")
    log.warning("no_picture", said=said.decode(errors="replace")[-500:])
    return None


def _harmless_environment() -> dict[str, str]:
    """Give the environment without what the bot alone needs to know."""
    return {
        name: value for name, value in os.environ.items() if not name.upper().endswith(("_TOKEN", "_KEY"))
    }
