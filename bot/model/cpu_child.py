"""The child process in which the CPU model runs: `python -m bot.model.cpu_child`.

It is a process of its own because loading a model holds Python's lock for as long as it takes, and a
malformed file can end the process. The first line of standard input is a JSON object, the fields of `Job`;
the key is there, not in the arguments, where every user of the machine could read it. One line comes back
on standard output, `{"url": ...}` or `{"error": ...}`; what llama.cpp logs goes to standard error. The child
ends when its standard input closes, which the system does when the parent is gone, whatever ended it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TextIO

BATCH = 256
"""The tokens of a prompt that are evaluated at once.

Until they are, nobody else gets a word in: with llama.cpp's own 2048 a player may wait half a minute for what
was being read ahead for somebody else.
"""
SIMILAR = 0.9
"""How much of a prompt (0 to 1) the only slot has to hold for the server to go on there without saving it.

With llama.cpp's own 0.1 two scenes of one title and cast overwrite each other, as long as what they have in
common is half of what the slot holds: over 12 turns 17.9 % of their prompts were evaluated, with 0.9 6.9 %.
Several slots keep the 0.1: a scene whose window was cut would else be given another slot than its own, where
nothing can be shifted into place. 622 to 855 tokens were evaluated then, for 38 (bundled model, b11549).
"""
_AUTO, _OFF = -1, 0  # of llama.cpp's `llama_flash_attn_type`


@dataclass(frozen=True)
class Job:
    """What to serve. `context` is in tokens for one slot; `cache_mib` bounds the cache of prompts, in MiB.

    `slots` is a folder for what the slots hold, empty for none. `flash_attention` needs less memory; without
    it a CPU is up to twice as fast at what follows a long prompt. `embedding`: serve vectors, and no chats;
    `pooling` is llama.cpp's name for how those of all tokens become one, empty for the model's own way.
    """

    model: str
    name: str
    api_key: str
    context: int
    parallel: int
    threads: int
    cache_mib: int
    binary: str = ""
    slots: str = ""
    flash_attention: bool = True
    embedding: bool = False
    pooling: str = ""

    @property
    def cache_reuse(self) -> int:
        """The smallest run of tokens that is shifted into place rather than evaluated again."""
        return 0 if self.embedding else 256

    @property
    def similarity(self) -> float | None:
        """How alike a slot and a prompt have to be (see `SIMILAR`); None leaves it to the server."""
        return SIMILAR if self.parallel == 1 and not self.embedding else None

    @property
    def batch(self) -> int:
        """The tokens that are evaluated at once. What is embedded has to fit into one batch."""
        return self.context if self.embedding else BATCH


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bot's: it still has answers to finish
    answer = _private_stdout()
    job = Job(**json.loads(sys.stdin.readline()))
    code = 1
    try:
        code = _serve_binary(job, answer) if job.binary else _serve_here(job, answer)
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent has to be told before this process ends
        _say(answer, {"error": f"{type(error).__name__}: {error}"})
    os._exit(code)  # the thread that reads standard input would make an ordinary exit abort


def _serve_here(job: Job, answer: TextIO) -> int:
    """Run the server that xllamacpp carries, on a port that the system picks."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    xllamacpp = importlib.import_module("xllamacpp")  # untyped, and 34 MB that a binary does without

    params = xllamacpp.CommonParams()
    params.model.path = job.model
    params.model_alias = {job.name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [job.api_key]
    params.n_ctx = job.context * job.parallel
    params.n_parallel = job.parallel
    params.cpuparams.n_threads = job.threads
    params.cpuparams_batch.n_threads = job.threads
    params.cache_ram_mib = job.cache_mib
    # A slot is copied to that cache when another scene needs it. llama.cpp would copy every idle one before
    # each request: whoever is asked waited 20 ms for the 20 MiB of another scene that had its own slot.
    params.cache_idle_slots = False
    params.n_cache_reuse = job.cache_reuse
    if job.similarity:
        params.slot_prompt_similarity = job.similarity
    params.n_batch = params.n_ubatch = job.batch
    params.flash_attn_type = _AUTO if job.flash_attention else _OFF
    params.use_jinja = True
    params.embedding = job.embedding
    if job.pooling:
        params.pooling_type = getattr(
            xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{job.pooling.upper()}"
        )
    params.endpoint_slots = True
    params.slot_save_path = f"{job.slots}{os.sep}" if job.slots else ""
    params.ui = False
    params.fit_params = False
    server = xllamacpp.Server(params)
    _say(answer, {"url": server.listening_address})
    threading.Event().wait()
    return 0


def _serve_binary(job: Job, answer: TextIO) -> int:
    """Run a llama-server binary with the same settings, in its environment: what a build lacks it ignores."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "LLAMA_ARG_MODEL": job.model,
        "LLAMA_ARG_ALIAS": job.name,
        "LLAMA_ARG_HOST": "127.0.0.1",
        "LLAMA_ARG_PORT": port,
        "LLAMA_API_KEY": job.api_key,
        "LLAMA_ARG_CTX_SIZE": job.context * job.parallel,
        "LLAMA_ARG_N_PARALLEL": job.parallel,
        "LLAMA_ARG_THREADS": job.threads,
        "LLAMA_ARG_CACHE_RAM": job.cache_mib,
        "LLAMA_ARG_CACHE_IDLE_SLOTS": 0,
        "LLAMA_ARG_CACHE_REUSE": job.cache_reuse,
        "LLAMA_ARG_FLASH_ATTN": "auto" if job.flash_attention else "off",
        "LLAMA_ARG_BATCH": job.batch,
        "LLAMA_ARG_UBATCH": job.batch,
        "LLAMA_ARG_JINJA": 1,
        "LLAMA_ARG_UI": 0,
        "LLAMA_ARG_FIT": "off",
    }
    if job.embedding:
        settings |= {"LLAMA_ARG_EMBEDDINGS": 1}
    if job.pooling:
        settings |= {"LLAMA_ARG_POOLING": job.pooling}
    env = os.environ | {name: str(value) for name, value in settings.items()}
    arguments = ["--slot-save-path", job.slots] if job.slots else []  # what has no name in the environment
    if job.similarity:
        arguments += ["--slot-prompt-similarity", str(job.similarity)]
    process = subprocess.Popen(  # noqa: S603  # the operator's own setting names it
        [job.binary, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
    )
    threading.Thread(target=_end_with_parent, args=(process,), daemon=True).start()
    url = f"http://127.0.0.1:{port}"
    while process.poll() is None and not _is_ready(url):
        time.sleep(0.05)
    if process.poll() is None:
        _say(answer, {"url": url})
    return process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:  # noqa: S310  # loopback, made above
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end_with_parent(process: subprocess.Popen[bytes] | None = None) -> None:
    sys.stdin.buffer.read()
    if process is not None:
        process.kill()
        process.wait()
    os._exit(0)


def _private_stdout() -> TextIO:
    """Keep standard output for the answer alone: what C++ prints there goes to standard error instead."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answer


def _say(answer: TextIO, message: dict[str, str]) -> None:
    answer.write(json.dumps(message) + "\n")
    answer.flush()


if __name__ == "__main__":
    main()
