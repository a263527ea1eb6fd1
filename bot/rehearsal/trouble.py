"""Things that go wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Failure:
    """One answer that will not be the right one, for the next `times` requests it fits."""

    method: str
    route: str
    status: int = 503
    json: Json | None = None
    after_effect: bool = False
    times: int = 1

    def fits(self, method: str, route: str) -> bool:
        """Say whether it is about this request."""
        return self.times > 0 and self.method in {"", method} and self.route in route


@dataclass(slots=True)
class Trouble:
    """Failures that wait for their request, and two switches of the developer portal."""

    failures: list[Failure] = field(default_factory=list)
    refuse_token: bool = False
    deny_message_content: bool = False

    def next(self, method: str, route: str) -> Failure | None:
        """Take the first failure that fits a request."""
        for failure in self.failures:
            if failure.fits(method, route):
                failure.times -= 1
                if failure.times == 0:
                    self.failures.remove(failure)
                return failure
        return None
