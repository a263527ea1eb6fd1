from __future__ import annotations

import os

from hypothesis import settings

from bot.model.machine import usable_cores

os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else gdb looks at every process that llama.cpp aborts

settings.register_profile("table", deadline=None)  # a busy machine is no failure
settings.load_profile("table")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: now and then a test waits for a timer or a disk."""
    return usable_cores() * 3 // 2
