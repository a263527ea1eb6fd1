"""The line of `.env` that says which model the CPU fallback runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bot.errors import SetupError

_LINE = re.compile(r"^[ \t]*(?:export[ \t]+)?CPU_MODEL[ \t]*=.*$", re.MULTILINE)


def line_for(model: Path) -> str:
    """Give the line that points at a model: its full path, with slashes that every system reads."""
    path = model.absolute().as_posix()
    quoted = path.replace("\\", r"\\").replace("'", r"\'")
    return f"CPU_MODEL='{quoted}'" if re.search(r"[\s#\"'$]", path) else f"CPU_MODEL={path}"


def point_at(model: Path, env_file: Path) -> None:
    """Let CPU_MODEL in `env_file` point at the model; every other line stays as it is.

    The file is replaced in one step. Raises SetupError, with the line to put in, where that cannot be done.
    """
    line = line_for(model)
    fresh = env_file.with_name(env_file.name + ".new")
    try:
        text = env_file.read_text(encoding="utf-8-sig") if env_file.exists() else ""
        if _LINE.search(text):
            text = _LINE.sub(lambda _: line, text)
        else:
            text = text + ("\n" if text and not text.endswith("\n") else "") + line + "\n"
        mode = env_file.stat().st_mode & 0o777 if env_file.exists() else 0o600
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:  # noqa: PTH123  # it may hold a token: nobody else may read it, not even for a moment
            out.write(text)
        fresh.replace(env_file)
    except (OSError, ValueError) as error:
        raise SetupError(f"{env_file} cannot be changed ({error}).", hint=f"Put into it: {line}") from None
