"""The same evening laid out as other front ends do it, and what a server that caches prefixes evaluates."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bot.prompt.window import CUT_MARK, LOW_WATER

if TYPE_CHECKING:
    from bot.model.cpu import Endpoint

Messages = list[dict[str, str]]

ALIKE = 24
"""Characters at both ends by which a shortened message is known again."""
LORE_DEPTH = 4
"""Exchanges that are searched for the keys of lore, the newest included."""
LORE_MOST = 6
"""Entries that stand near the top at the same time."""


@dataclass(frozen=True)
class Exchange:
    """What players said up to one answer, cue included, and the answer; None where no prompt has it."""

    said: str
    answer: str | None


class Tokens:
    """The server's own template and tokenizer."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._known: dict[str, int] = {}

    def ids(self, messages: Messages, *, answered: bool = False) -> list[int]:
        """Give a prompt's token ids, without the header of the answer if it is `answered` already."""
        text = self._post("apply-template", messages=messages)["prompt"]
        if answered:
            text = text[: text.rindex("<|im_start|>assistant")]
        ids: list[int] = self._post("tokenize", content=text, add_special=True, parse_special=True)["tokens"]
        return ids

    def cost(self, role: str, content: str) -> int:
        """Give the tokens that one message takes."""
        if content not in self._known:
            text = f"<|im_start|>{role}\n{content}<|im_end|>\n"
            self._known[content] = len(self._post("tokenize", content=text, parse_special=True)["tokens"])
        return self._known[content]

    def seconds(self, messages: Messages, times: int) -> tuple[float, float]:
        """Give the least seconds in which the server applies its template, and in which it counts as well."""
        paths = ("apply-template", "v1/chat/completions/input_tokens")
        applied, counted = (min(self._timed(path, messages) for _ in range(times)) for path in paths)
        return applied, counted

    def _timed(self, path: str, messages: Messages) -> float:
        begun = time.perf_counter()
        self._post(path, messages=messages)
        return time.perf_counter() - begun

    def _post(self, path: str, **body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._endpoint.api_key}"}
        request = urllib.request.Request(  # noqa: S310  # our own child on loopback
            f"{self._endpoint.url}/{path}", json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request) as reply:  # noqa: S310  # as above
            return json.load(reply)


def new_tokens(counter: Tokens, prompts: Sequence[Messages]) -> list[int]:
    """Give the tokens of each prompt that stand after what the one before it ended with."""
    new = [len(counter.ids(prompts[0]))]
    for before, prompt in pairwise(prompts):
        new.append(len(counter.ids(prompt)) - len(counter.ids(_repeated(before, prompt))))
    return new


def own_tokens(counter: Tokens, prompts: Sequence[Messages]) -> int:
    """Give how many of the new tokens are answers' own: the server wrote them, and may hold them still."""
    around = counter.cost("assistant", "")
    told = (_told_since(before, prompt) for before, prompt in pairwise(prompts))
    return sum(counter.cost("assistant", text) - around for texts in told for text in texts)


def _told_since(before: Messages, prompt: Messages) -> list[str]:
    place = _place(before, prompt)
    later = prompt[place + 1 :] if place else []
    return [message["content"] for message in later if message["role"] == "assistant"]


def _repeated(before: Messages, prompt: Messages) -> Messages:
    """Give the part of a prompt that ends where the one before did: the head alone if that has been cut."""
    place = _place(before, prompt)
    asked = before[-1]["content"]
    if place and CUT_MARK in prompt[place]["content"] and CUT_MARK not in asked:
        asked = prompt[place]["content"]
    elif place and prompt[place]["content"] != asked:  # there was no answer: its cue is not in the log
        asked = asked.rpartition("\n")[0]
    return [*prompt[:place], {"role": "user", "content": asked}] if place else prompt[:1]


def _place(before: Messages, prompt: Messages) -> int:
    """Give the place of the message that the prompt before ended with, 0 if it is not there."""
    asked = before[-1]["content"]
    same = [place for place, message in enumerate(prompt) if message["content"] == asked]
    if same:
        return same[-1]
    short = [place for place, message in enumerate(prompt) if _is_shortened(message["content"], asked)]
    asked = asked.rpartition("\n")[0]
    begun = [place for place, message in enumerate(prompt) if message["content"].startswith(asked)]
    return begun[-1] if asked and begun else max(short, default=0)


def _is_shortened(content: str, asked: str) -> bool:
    """Tell whether a message is one that was asked before, without the middle of what somebody said."""
    return CUT_MARK in content and content[:ALIKE] == asked[:ALIKE] and content[-ALIKE:] == asked[-ALIKE:]


def exchanges(prompts: Sequence[Messages]) -> list[Exchange]:
    """Give the whole evening as it stands in the prompts, which each have a part of it."""
    told = [Exchange(said["content"], answer["content"]) for said, answer in _pairs(prompts[0])]
    for before, prompt in pairwise(prompts):
        last = _place(before, prompt)
        if not last:  # it was cut off before any prompt had it with its answer
            told.append(Exchange(before[-1]["content"], None))
        told += [
            Exchange(said["content"], answer["content"])
            for said, answer in _pairs(prompt[max(last - 1, 0) :])
        ]
    return [*told, Exchange(prompts[-1][-1]["content"], None)]


def _pairs(messages: Messages) -> list[tuple[dict[str, str], dict[str, str]]]:
    return list(zip(messages[1::2], messages[2::2], strict=False))


def evaluated(counter: Tokens, prompts: Sequence[tuple[Messages, str | None]]) -> int:
    """Give the tokens evaluated for these prompts, of which each comes with the answer it was given.

    What a prompt shares with the one before and its answer, from the beginning, is cached; at least one token
    is always evaluated.
    """
    total, cached = 0, list[int]()
    for messages, answer in prompts:
        ids = counter.ids(messages)
        shared = next((n for n, (a, b) in enumerate(zip(ids, cached, strict=False)) if a != b), len(cached))
        total += max(len(ids) - min(shared, len(ids)), 1)
        told = [*messages, {"role": "assistant", "content": answer or "..."}]
        cached = counter.ids([*told, {"role": "user", "content": "."}])
    return total


def sliding(counter: Tokens, system: str, told: Sequence[Exchange], room: int) -> Prompts:
    """As much of the latest as fits, in every turn."""
    return [
        _prompt(system, _latest(counter, told[: n + 1], room - counter.cost("system", system)))
        for n in range(len(told))
    ]


def lore_on_top(counter: Tokens, system: str, told: Sequence[Exchange], room: int) -> Prompts:
    """Cut as this bot's window is, with the lore that is called for after the system prompt."""
    prompts, start = [], 0
    for n in range(len(told)):
        top = "\n\n".join([system, *_lore(told[max(0, n + 1 - LORE_DEPTH) : n + 1])])
        left = room - counter.cost("system", top)
        if len(_latest(counter, told[start : n + 1], left)) < n + 1 - start:
            start = n + 1 - len(_latest(counter, told[: n + 1], int(left * LOW_WATER)))
        prompts.append(_prompt(top, told[start : n + 1]))
    return prompts


def _latest(counter: Tokens, told: Sequence[Exchange], room: int) -> Sequence[Exchange]:
    first = len(told)
    while first and (room := room - _cost(counter, told[first - 1])) >= 0:
        first -= 1
    return told[min(first, len(told) - 1) :]


def _cost(counter: Tokens, exchange: Exchange) -> int:
    return counter.cost("user", exchange.said) + counter.cost("assistant", exchange.answer or "")


def _prompt(system: str, told: Sequence[Exchange]) -> tuple[Messages, str | None]:
    messages = [{"role": "system", "content": system}]
    for exchange in told[:-1]:
        messages.append({"role": "user", "content": exchange.said})
        messages.append({"role": "assistant", "content": exchange.answer or "..."})
    messages.append({"role": "user", "content": told[-1].said})
    return messages, told[-1].answer


def _lore(told: Sequence[Exchange]) -> list[str]:
    """Give the entries that are called for: one for each of the longest words of what was said last."""
    words = {word.strip(".,!?()").lower() for one in told for word in one.said.split()}
    keys = sorted((word for word in words if len(word) > 5 and word.isalpha()), key=lambda w: (-len(w), w))
    return [f"{key.title()}: what everybody in the valley knows of it." for key in keys[:LORE_MOST]]


Prompts = list[tuple[Messages, str | None]]
LAYOUTS: dict[str, Callable[[Tokens, str, Sequence[Exchange], int], Prompts]] = {
    "sliding window": sliding,
    "lore near the top": lore_on_top,
}
