from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else gdb looks at every process that llama.cpp aborts

settings.register_profile("table", deadline=None)  # a busy machine is no failure
settings.load_profile("table")
