"""What `/model info` writes of a server."""

from __future__ import annotations

from bot.model.standing import BackendStatus
from bot.scene.reports import backend_line


def test_the_cpu_models_server_is_named_once() -> None:
    status = BackendStatus("the CPU model tiny-q4", "", "standby", "llama.cpp", "tiny-q4")
    assert backend_line(status) == "○ the CPU model tiny-q4: stands by, and starts when no server answers."


def test_a_servers_name_and_its_models_are_both_told() -> None:
    status = BackendStatus("llama.cpp at den:8080", "", "up", "llama.cpp", "tiny-q4", context_length=8192)
    assert backend_line(status).startswith("✓ llama.cpp at den:8080: tiny-q4, a context of 8192 tokens")
