"""What a model wrote, made safe to show; a persona's name, made one that Discord takes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from bot.stage.clusters import is_boundary

NAME_LIMIT = 80
"""Code points in a webhook's username."""

_REFUSED_PARTS = ("clyde", "discord")
_REFUSED_NAMES = frozenset({"everyone", "here"})
_HAIR_SPACE = "\u200a"
_UNNAMED = "Unnamed"


def shown_name(name: str) -> str:
    """Give the username under which a persona of that `name` speaks: always the same for the same name.

    Discord refuses names that contain "clyde" or "discord" and those that mention everybody
    (https://docs.discord.com/developers/resources/webhook#create-webhook). A hair space after the first
    letter keeps them readable.
    """
    visible = "".join(c for c in name if c.isspace() or c == "\u200d" or unicodedata.category(c)[0] != "C")
    shown = " ".join(visible.split()).strip("\u200d ")
    folded = _fold(shown)
    refused = [m.start() for part in _REFUSED_PARTS for m in re.finditer(part, folded)]
    if folded.strip("@ ") in _REFUSED_NAMES:
        refused.append(0)
    for start in sorted(refused, reverse=True):
        shown = f"{shown[: start + 1]}{_HAIR_SPACE}{shown[start + 1 :]}"
    return _shorten(shown, NAME_LIMIT) or _UNNAMED


def _fold(name: str) -> str:
    """Give the plain small letters that a reader sees, one for each code point."""
    folded = (unicodedata.normalize("NFKC", character).lower() for character in name)
    return "".join(plain if len(plain) == 1 else "\ufffd" for plain in folded)


def _shorten(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    end = next((end for end in range(limit, 0, -1) if is_boundary(name, end)), limit)
    return name[:end].rstrip()


_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_SCHEME_BEGUN = re.compile(r"h(?:t(?:t(?:ps?(?::/?)?)?)?)?\Z", re.IGNORECASE)
_TOKEN = re.compile(r"\\[^0-9A-Za-z\s]|`+|https?://", re.IGNORECASE)
_PARTNER = re.compile(r"\n|`+")
_ADDRESS = re.compile(r"https?://[^\s<`]{0,2000}", re.IGNORECASE)
_ALLOWABLE = re.compile(r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::\d{1,5})?(?:[/?#][!-~]*)?", re.IGNORECASE)
_ENDINGS = ".,:;!?\"'*_~|>]}\u2026\u201d\u2019"
_BREAK = "\u200b"


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Shows addresses in model text as inline code, so that Discord fetches no preview of them.

    A preview is fetched without a click, by which an address that the model was talked into can carry
    away what was said at the table. A masked link `[text](address)` is thereby shown as the text it is.
    Addresses in code stay as they are; where it is not certain that Discord sees the same code (backticks
    without partner, code across lines), a zero-width space takes the address apart instead.

    `allowed_domains` are let through, with all their subdomains. Mentions are left alone: every send and
    every edit forbids them (`AllowedMentions.none()`).
    """

    allowed_domains: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        """Give the whole answer, safe to show. Nothing but addresses is changed."""
        return _Pass(self, text, whole=True).run()

    def clean_start(self, text: str) -> str:
        """Give as much of an answer that is still growing as can be shown now.

        What it gives is the beginning of what it gives for any longer text, and of `clean` of that text:
        an address is held back until it has ended, and so is one behind a backtick without partner.
        """
        return _Pass(self, text, whole=False).run()

    def allows(self, address: str) -> bool:
        """Say whether `address` is on an allowed domain, beyond doubt."""
        parts = _ALLOWABLE.fullmatch(address)
        if parts is None:
            return False
        host = parts[1].lower()
        return any(
            host == domain or host.endswith(f".{domain}") for domain in map(str.lower, self.allowed_domains)
        )


class _Pass:
    """One reading of a text, from its beginning to `end`; `shown` is what has been shown of it."""

    def __init__(self, cleaner: Cleaner, text: str, *, whole: bool) -> None:
        self._cleaner = cleaner
        self._text = text
        self._whole = whole
        self._end = len(text)
        self._parts: list[str] = []
        self._copied = 0
        self._sure = True

    def run(self) -> str:
        if not self._whole and (begun := _SCHEME_BEGUN.search(self._text)):
            self._end = begun.start()
        position = 0
        while (token := _TOKEN.search(self._text, position)) is not None and token.start() < self._end:
            if token[0][0] == "`":
                position = self._pass_backticks(token)
            elif token[0][0] == "\\":
                position = token.end()
            else:
                position = self._pass_address(token)
        self._parts.append(self._text[self._copied : self._end])
        return "".join(self._parts)

    def _pass_backticks(self, token: re.Match[str]) -> int:
        """Give the position after the code that begins here, or after the backticks if none surely does."""
        if not self._sure:
            return token.end()
        if len(token[0]) == 3:
            return self._pass_fence(token.end())
        partner = _PARTNER.search(self._text, token.end())
        undecided = partner is None or (partner.end() == len(self._text) and partner[0] != "\n")
        if undecided and not self._whole and len(token[0]) < 3:
            return self._wait_for_partner(token.end())
        if len(token[0]) < 3 and partner is not None and partner[0] == token[0]:
            return partner.end()
        self._sure = False
        return token.end()

    def _pass_fence(self, start: int) -> int:
        end = self._text.find("```", start)
        if end < 0:
            return len(self._text)  # what is cut into messages has its fences closed
        run = _PARTNER.match(self._text, end)
        after = run.end() if run else end
        self._sure = after - end == 3 and bool(self._text[start:end].strip("\n"))
        return after

    def _wait_for_partner(self, start: int) -> int:
        """Show no address from here on: whether it is in code is not known yet."""
        scheme = _SCHEME.search(self._text, start)
        self._end = min(self._end, scheme.start() if scheme else self._end)
        return len(self._text)

    def _pass_address(self, token: re.Match[str]) -> int:
        start = token.start()
        match = _ADDRESS.match(self._text, start)
        end = match.end() if match else token.end()
        if not self._whole and end == len(self._text):
            self._end = start
            return end
        address = _trimmed(self._text[start:end])
        if self._text[token.end() : token.end() + 1].strip(" \t\n<") == "":
            return token.end()
        if self._text[end : end + 1] in {"", " ", "\t", "\n", "<"} and self._cleaner.allows(address):
            return end
        if self._sure and len(address) > len(token[0]) and self._stands_free(start, end):
            self._show(start, f"`{address}`", start + len(address))
            return start + len(address)
        self._show(start, f"{token[0][:-2]}{_BREAK}//", token.end())
        return token.end()

    def _stands_free(self, start: int, end: int) -> bool:
        """Say whether a backtick on each side would be a code marker of its own."""
        return self._text[start - 1 : start] not in {"`", "\\"} and self._text[end : end + 1] != "`"

    def _show(self, start: int, instead: str, end: int) -> None:
        self._parts += self._text[self._copied : start], instead
        self._copied = end


def _trimmed(address: str) -> str:
    """Leave off what ends the sentence around the address, not the address."""
    end, unpaired = len(address), address.count(")") - address.count("(")
    while end > 0:
        if address[end - 1] == ")" and unpaired > 0:
            unpaired -= 1
        elif address[end - 1] not in _ENDINGS:
            break
        end -= 1
    return address[:end]
