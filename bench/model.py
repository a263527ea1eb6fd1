"""The scripted model server as a process of its own, noting when a request has been read to its end.

It keeps what each request was for, not what it said: prompts of hundreds of turns are not listed to anybody.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING

from tests.fakes.model_server import Answer, Recorded, ScriptedModelServer, purpose

if TYPE_CHECKING:
    from aiohttp import web


class Server(ScriptedModelServer):
    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        request["read"] = time.time()
        request["purpose"] = purpose(await request.json() if request.body_exists else {})
        return await super()._handle(request)

    async def _answer(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        recorded.received, recorded.purpose = request["read"], request["purpose"]
        return await super()._answer(request, recorded)


async def serve(answer: Answer) -> None:
    async with Server(default=answer) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--text", required=True)
    parser.add_argument("--chunk", type=int, default=8)
    options = parser.parse_args()
    asyncio.run(serve(Answer(options.text, chunk=options.chunk)))
