"""The transcripts of docs/models.md: a server killed in mid-answer, and a swap of the model, in a real scene.

    python -m bench.failover

Two real llama.cpp servers serve the bundled storyteller under two names. `hearthside play` plays a script
against the first; when that is generating its second answer, it is killed as `kill -9` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import aiohttp

from tests.llama_server import LlamaServer

PROJECT = Path(__file__).resolve().parents[1]
STORYTELLER = PROJECT / "bot" / "model" / "storyteller.gguf"
CONTEXT = 2048
BEGUN = 4  # tokens; reading ahead generates one
SCRIPT = """\
/model list
/scene start title:"The Drowned Bell" persona:marta
Good evening, Marta. Is the inn open?
/model set model:second dry_run:true
/model set model:second
I sit down by the fire and ask about the bell.
/model set model:default
Who rings it?
And who hears it?
/model info
"""


async def main() -> None:
    """Play it and print the transcript."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = [shutil.copy(STORYTELLER, folder / f"{name}.gguf") for name in ("first", "second")]
        async with (
            LlamaServer(Path(first), context=CONTEXT) as dying,
            LlamaServer(Path(second), context=CONTEXT) as other,
        ):
            killer = asyncio.create_task(kill_in_answer(dying, 2))
            await play(folder, f"{dying.url},{other.url}")
            killer.cancel()


async def kill_in_answer(server: LlamaServer, number: int) -> None:
    """Kill the server while it generates its answer of that number."""
    async with aiohttp.ClientSession() as session:
        seen, task = 0, None
        while True:
            async with session.get(f"{server.url}/slots") as response:
                [slot] = json.loads(await response.text())
            token = slot.get("next_token") or {}
            decoded = (token[0] if isinstance(token, list) else token).get("n_decoded", 0)
            if slot["is_processing"] and decoded >= BEGUN and slot["id_task"] != task:
                task = slot["id_task"]
                seen += 1
                if seen == number:
                    await server.kill()
                    return


async def play(folder: Path, urls: str) -> None:
    """Have the script played in a room of its own, with a database of its own."""
    script = folder / "script.txt"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {
        **os.environ,
        "MODEL_URLS": urls,
        "DATABASE_URL": f"sqlite:///{(folder / 'play.sqlite').as_posix()}",
    }
    command = [sys.executable, "-m", "bot", "play", "--script", str(script)]
    child = await asyncio.create_subprocess_exec(*command, env=environment, cwd=PROJECT)
    await child.wait()


if __name__ == "__main__":
    asyncio.run(main())
