"""Discord's rate limits: buckets in headers on every response, and a 429 for who ignores them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MAX_BUCKETS = 5000


@dataclass(slots=True)
class Rule:
    """So many requests in so many seconds, for requests whose method and route contain these texts."""

    route: str
    requests: int
    per: float
    method: str = ""

    def fits(self, method: str, route: str) -> bool:
        """Say whether the rule is about this route."""
        return self.route in route and self.method in {"", method}


@dataclass(slots=True)
class Window:
    """A bucket's current stretch of time, in seconds of the room's monotonic clock."""

    until: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request is told: the bucket, what is left of it, and how long to wait where nothing is."""

    bucket: str
    limit: int
    remaining: int
    reset_after: float
    retry_after: float | None = None

    def headers(self, now: float) -> dict[str, str]:
        """Write Discord's headers; `now` is the wall-clock time in Unix seconds."""
        found = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": f"{now + self.reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{self.reset_after:.3f}",
            "X-RateLimit-Bucket": self.bucket,
        }
        if self.retry_after is not None:
            found |= {"Retry-After": str(int(self.retry_after) + 1), "X-RateLimit-Scope": "user"}
        return found


class RateLimits:
    """The rules in force. Without `like_discord` they are so wide that no test waits for them."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._wide = Rule("", 10_000, 1.0)
        self._windows: dict[tuple[str, str], Window] = {}

    def set(self, route: str, requests: int, per: float, method: str = "") -> None:
        """Put a rule in front of the others: `requests` in `per` seconds for each channel or webhook."""
        self._rules.insert(0, Rule(route, requests, per, method))
        self._windows.clear()

    def like_discord(self) -> None:
        """Use the orders of magnitude that Discord is known for; it publishes none and may change them."""
        self._rules += [
            Rule("/channels/{channel_id}/messages", 5, 5.0, "POST"),
            Rule("/channels/{channel_id}/messages/{message_id}", 5, 5.0, "PATCH"),
            Rule("/webhooks/{webhook_id}/{webhook_token}", 5, 2.0),
            Rule("/channels/{channel_id}/typing", 5, 5.0),
        ]

    def take(self, method: str, route: str, major: str, now: float) -> Verdict:
        """Count one request; `major` is the channel, server or webhook that has a bucket of its own."""
        rule = next((each for each in self._rules if each.fits(method, route)), self._wide)
        bucket = hashlib.md5(f"{method} {route}".encode(), usedforsecurity=False).hexdigest()
        window = self._windows.get((bucket, major))
        if window is None or now >= window.until:
            self._forget(now)
            window = self._windows[bucket, major] = Window(now + rule.per)
        left = window.until - now
        if window.used >= rule.requests:
            return Verdict(bucket, rule.requests, 0, left, retry_after=left)
        window.used += 1
        return Verdict(bucket, rule.requests, rule.requests - window.used, left)

    def _forget(self, now: float) -> None:
        if len(self._windows) >= MAX_BUCKETS:
            self._windows = {key: each for key, each in self._windows.items() if each.until > now}
