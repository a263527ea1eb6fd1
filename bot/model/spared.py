"""What a server was found not to bear, and requests written without it."""

from __future__ import annotations

from typing import Any

from bot.model.backend import fold_system, wire_messages
from bot.model.failures import names_unsupported, refuses_roles
from bot.model.routes import RefusedError

_REQUIRED = frozenset({"model", "messages", "stream"})


class Spared:
    """The fields of a request that one server has refused, and its models without a system role."""

    def __init__(self) -> None:
        self.fields: frozenset[str] = frozenset()
        self._roleless: set[str] = set()

    def forget(self) -> None:
        """Begin anew: another server may have come in its place."""
        self.fields = frozenset()
        self._roleless.clear()

    def is_roleless(self, model: str) -> bool:
        """Tell whether a model was found to take no system message."""
        return model in self._roleless

    def learns(self, error: RefusedError, body: dict[str, Any], *, folded: bool) -> bool:
        """Remember why a request was refused; tell whether it is worth another try without that.

        `folded` says that its system text stood in the first user message.
        """
        if refuses_roles(error.status, error.body) and not folded:
            self._roleless.add(str(body["model"]))
            return True
        found = names_unsupported(error.status, error.body, frozenset(body) - _REQUIRED - self.fields)
        self.fields |= found
        return bool(found)

    def trimmed(self, body: dict[str, Any], *, folded: bool) -> dict[str, Any]:
        """Write a request as it is sent: its messages on the wire, without what is to be left out."""
        kept = {name: value for name, value in body.items() if name not in self.fields}
        kept["messages"] = wire_messages(fold_system(body["messages"]) if folded else body["messages"])
        if "max_tokens" in self.fields:
            kept["max_completion_tokens"] = body["max_tokens"]  # OpenAI's newer name for the same bound
        return kept
