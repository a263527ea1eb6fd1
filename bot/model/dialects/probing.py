"""Telling model servers apart: by the name they give themselves, else by what only one of them answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bot.errors import BackendUnavailableError
from bot.model.dialects import koboldcpp, llama_cpp, lm_studio, ollama, tabbyapi, textgen_webui, vllm
from bot.model.dialects.base import PlainOpenAI, Site, plain
from bot.model.dialects.reading import mapping, owner, read_models, text
from bot.model.routes import RefusedError, SilentError

_Probe = Callable[[Site, Any], Awaitable[PlainOpenAI | None]]


async def probe(site: Site, listing: Any) -> PlainOpenAI:
    """Find the dialect of a server whose `/v1/models` answered `listing` (None where it has no such list).

    A server that knows none of the questions speaks plain OpenAI. Raises RefusedError where llama.cpp wants
    a key or is loading: it lists its models all the same, so that only here it is found out. Raises
    SilentError where a question was not answered in time, and none told what the server is.
    """
    try:
        found = await _found(site, listing)
    except RefusedError as error:
        if owner(listing) == "llamacpp" and error.status in {401, 503}:
            raise
        found = None
    except SilentError:
        raise
    except BackendUnavailableError:
        found = None  # it answered with a page
    return found or plain(read_models(listing), site)


async def _found(site: Site, listing: Any) -> PlainOpenAI | None:
    """Ask the server that it says it is, else all of them at once: each question is one only one knows."""
    said = owner(listing)
    if said in _BY_OWNER:
        return await _BY_OWNER[said](site, listing)
    if said in _NEVER_LOCAL:
        return None
    answers = await asyncio.gather(*(_tried(one(site, listing)) for one in _BY_QUESTION))
    known = next((answer for answer in answers if isinstance(answer, PlainOpenAI)), None)
    silent = next((answer for answer in answers if isinstance(answer, SilentError)), None)
    if known is None and silent is not None:
        raise silent
    return known


async def _tried(asked: Awaitable[PlainOpenAI | None]) -> PlainOpenAI | SilentError | None:
    """Give the dialect if the server knew the question, and its silence if it did not answer in time."""
    try:
        return await asked
    except SilentError as error:
        return error
    except (RefusedError, BackendUnavailableError):
        return None


async def _vllm(site: Site, listing: Any) -> PlainOpenAI | None:
    return await vllm.probe(site, listing) if read_models(listing) else None


async def _llama_cpp(site: Site, listing: Any) -> PlainOpenAI | None:
    """KoboldCpp and TabbyAPI have a `/props` too, without a build in it."""
    properties = mapping(await site.get("/props"))
    if "build_info" in properties and "default_generation_settings" in properties:
        return await llama_cpp.probe(site, listing, properties)
    return None


async def _koboldcpp(site: Site, listing: Any) -> PlainOpenAI | None:
    version = mapping(await site.get("/api/extra/version"))
    return await koboldcpp.probe(site, listing) if version.get("result") == "KoboldCpp" else None


async def _tabbyapi(site: Site, listing: Any) -> PlainOpenAI | None:
    """Ask what the key permits, a question that is TabbyAPI's own, unless it has told its name.

    The operator's key is not for strangers, so it is not shown before the server is known.
    """
    if owner(listing) == "tabbyAPI":
        return await tabbyapi.probe(site, listing)
    permission = text(mapping(await site.get("/v1/auth/permission")).get("permission"))
    return await tabbyapi.probe(site, listing) if permission else None


async def _textgen_webui(site: Site, listing: Any) -> PlainOpenAI | None:  # noqa: ARG001  # the same shape as all
    info = mapping(await site.get("/v1/internal/model/info"))
    return await textgen_webui.probe(site, info) if "model_name" in info else None


async def _lm_studio(site: Site, listing: Any) -> PlainOpenAI | None:  # noqa: ARG001  # the same shape as all
    """Look for its newer list, then its older one, both of a shape of their own."""
    newer = await site.ask("/api/v1/models")
    if any("loaded_instances" in item for item in _items(newer, "models")):
        return await lm_studio.probe(site, newer)
    older = await site.get("/api/v0/models")
    known = any("compatibility_type" in item for item in _items(older, "data"))
    return await lm_studio.probe(site, older) if known else None


async def _ollama(site: Site, listing: Any) -> PlainOpenAI | None:  # noqa: ARG001  # the same shape as all
    """Ask after KoboldCpp, which answers its routes too; llama.cpp has some of them, not this one."""
    if "models" not in mapping(await site.get("/api/ps")):
        return None
    return await ollama.probe(site) if "version" in mapping(await site.get("/api/version")) else None


def _items(answer: Any, key: str) -> list[dict[str, Any]]:
    found = mapping(answer).get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


_BY_OWNER: dict[str, _Probe] = {
    "vllm": _vllm,
    "llamacpp": _llama_cpp,
    "koboldcpp": _koboldcpp,
    "tabbyAPI": _tabbyapi,
}
"""What servers write into `owned_by`."""
_NEVER_LOCAL = frozenset({"openai", "system", "openai-internal", "anthropic", "google", "mistralai"})
"""Owners that hosts and proxies (LiteLLM) write: those are not asked for other servers' routes."""
_BY_QUESTION: tuple[_Probe, ...] = (_llama_cpp, _koboldcpp, _lm_studio, _textgen_webui, _tabbyapi, _ollama)
