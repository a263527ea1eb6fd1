"""A file on a web server, of which only what is read is fetched, by range requests (RFC 9110, 14)."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import BinaryIO

from bot.errors import SetupError

_PART = 1024 * 1024
"""Bytes fetched at a time."""
_MOST = 256 * 1024 * 1024
"""Bytes fetched in all: the header of a model with 256k tokens takes about 20 MiB."""
_TIMEOUT = 20
"""Seconds to wait for the server."""


@contextmanager
def open_remote(url: str) -> Iterator[tuple[BinaryIO, int]]:
    """Give the file, and its size in bytes.

    Raises SetupError, also while it is read: no answer, not found, no ranges, more read than a header has.
    """
    remote = _RemoteFile(url)
    remote.fetch(0, 1)
    with io.BufferedReader(remote, _PART) as file:
        yield file, remote.size


class _RemoteFile(io.RawIOBase):
    def __init__(self, url: str) -> None:
        self._url = url
        self._at = 0
        self._fetched = 0
        self.size = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io calls it with
        length = min(len(buffer), self.size - self._at)
        if length <= 0:
            return 0
        data = self.fetch(self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def fetch(self, start: int, length: int) -> bytes:
        """Fetch some bytes; the answer says how large the whole file is."""
        self._fetched += length
        if self._fetched > _MOST:
            raise SetupError(f"The header of {self._url} has no end.", hint="Download the file first.")
        request = urllib.request.Request(  # noqa: S310  # `inspect` only comes here with http and https
            self._url, headers={"Range": f"bytes={start}-{start + length - 1}", "User-Agent": "hearthside"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  # as above
                size = str(answer.headers["Content-Range"]).rpartition("/")[2]
                if answer.status != 206 or not size.isdecimal():
                    raise SetupError(f"{self._url} cannot be read in parts.", hint="Download the file first.")
                self.size = int(size)
                return bytes(answer.read(length))
        except urllib.error.HTTPError as error:
            error.close()
            raise SetupError(
                f"{self._url} answers {error.code} {error.reason}.", hint="Check the address."
            ) from None
        except urllib.error.URLError as error:
            raise SetupError(
                f"{self._url} does not answer ({error.reason}).", hint="Check the network."
            ) from None
        except (OSError, HTTPException, ValueError) as error:
            raise SetupError(f"{self._url} broke off ({error}).", hint="Try again.") from None
