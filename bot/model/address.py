"""Where a model server is: one base URL, however the operator wrote it."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_VERSION_SEGMENT = re.compile(r"/v\d+[a-z0-9]*(/|$)")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The parts of a base URL. Only `authorization` is secret, and it is in no name and no repr.

    `root` is where a server's own routes start (`/props`, `/tokenize`), `api` where OpenAI's do
    (`/chat/completions`); `host` is host and port as players may read them.
    """

    root: str
    api: str
    host: str
    authorization: str | None = field(default=None, repr=False)

    @property
    def is_nearby(self) -> bool:
        """Whether it is on this machine or in this network: no proxy of the environment belongs between."""
        name = urlsplit(self.root).hostname or ""
        try:
            return ipaddress.ip_address(name).is_private
        except ValueError:
            return name == "localhost" or "." not in name or name.endswith((".local", ".lan", ".internal"))

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine: its files are ours to read, and named by paths of this machine."""
        name = urlsplit(self.root).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"


def parse_address(url: str, api_key: str | None = None) -> ServerAddress:
    """Read a base URL with or without `/v1`, a trailing slash, or `user:password@`.

    A path that already has a version in it (`/v1`, `/api/paas/v4`, `/v1beta/openai`) stays as it is;
    `/v1` is added to every other. A user in the URL becomes HTTP Basic authorization, in place of the key.
    """
    parts = urlsplit(url.strip())
    path = parts.path.rstrip("/")
    api_path = path if _VERSION_SEGMENT.search(path) else f"{path}/v1"
    host = parts.netloc.rpartition("@")[2]
    origin = f"{parts.scheme}://{host}"
    return ServerAddress(
        root=origin + api_path.removesuffix("/v1"),
        api=origin + api_path,
        host=host,
        authorization=_authorization(parts.username, parts.password, api_key),
    )


def _authorization(user: str | None, password: str | None, api_key: str | None) -> str | None:
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")
    return f"Bearer {api_key}" if api_key else None
