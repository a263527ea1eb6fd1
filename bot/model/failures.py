"""What a model server's refusals mean, in sentences that a player or operator can act on."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from bot.errors import (
    BackendBusyError,
    BackendError,
    BackendLoadingError,
    BackendUnavailableError,
    KeyRefusedError,
    ModelRefusedError,
    PromptTooLongError,
)
from bot.model.dialects.reading import sound

_QUOTED = 200
"""Characters of a server's own words that are passed on."""
_ECHO = 24
"""Characters in a row that they have in common with the request if they repeat it."""

_TOO_LONG = re.compile(
    r"exceed_context_size|context_length_exceeded|exceeds? the (available )?(maximum )?context"
    r"|maximum context length|context (length|size|window) of|greater than the context length"
    r"|longer than the maximum model length|is greater than (max_seq_len|the max(imum)? (sequence )?length)"
    r"|prompt is too long|input is too long|too many tokens",
    re.IGNORECASE,
)
# Each server's own wording with both numbers, as (prompt, context). Sources: llama.cpp b11549 itself;
# vllm#20409 and vllm#33425; lmstudio-bug-tracker#546; SillyTavern#3543 (TabbyAPI); chatbot-ui#102 (OpenAI);
# cognee#1061 (OpenRouter).
_NUMBERS = (
    re.compile(r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<context>\d+)"),
    re.compile(r"context length is (?P<context>\d+) tokens\D+requested \d+ tokens \((?P<prompt>\d+) in the"),
    re.compile(
        r"context length is (?P<context>\d+) tokens.*?(request\w*|resulted in)( has| about)* (?P<prompt>\d+)"
    ),
    re.compile(r"keep the first (?P<prompt>\d+) tokens.*?context length of only (?P<context>\d+)"),
    re.compile(r"Request length (?P<prompt>\d+)( \+ \d+)? is greater than max_seq_len (?P<context>\d+)"),
    re.compile(
        r"length (of )?(?P<prompt>\d+)\)? is longer than the maximum model length (of )?(?P<context>\d+)"
    ),
)
_UNSUPPORTED = re.compile(
    r"un(recogni[sz]ed|known|supported|expected)|not (supported|permitted|allowed|enabled)|does not support"
    r"|extra (inputs|fields)",
    re.IGNORECASE,
)
# What chat templates raise, as servers pass it on: Gemma 2 and 3; Mistral and Llama 2; Mistral's newer ones.
_ROLES = re.compile(
    r"system role (is )?not supported|roles must alternate|only user(,| and) assistant"
    r"|does not support (the )?system|system (message|role|prompt)s?\b.{0,40}not (allowed|supported)",
    re.IGNORECASE,
)
_KEY_HINT = "Set MODEL_API_KEY to the key it expects."
_ADDRESS_HINT = "Check that MODEL_URLS has its OpenAI-compatible address, such as http://127.0.0.1:8080/v1."
_NETWORK: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "connection refused; is it running?"),
    (socket.gaierror, "its host name is not known"),
    (ssl.SSLCertVerificationError, "its TLS certificate is not trusted"),
    (ssl.SSLError, "it does not speak TLS; is it http:// rather than https://?"),
    (TimeoutError, "no answer in time"),
    (ConnectionError, "the connection was closed"),
)


def sentence(text: str) -> str:
    """Begin with a capital where a name such as `the model server at ...` begins the sentence."""
    return "T" + text[1:] if text.startswith("the ") else text


def no_answer(name: str, cause: BaseException | None) -> BackendUnavailableError:
    """Say why nothing could be sent to a server, or nothing came back. `cause` is the network's own error."""
    return BackendUnavailableError(f"{sentence(name)} does not answer ({_network_reason(cause)}).")


def too_slow(name: str, seconds: float, what: str) -> BackendUnavailableError:
    """Say what a server was waited for in vain, and how long."""
    return BackendUnavailableError(
        f"{sentence(name)} {what} within {seconds:g} seconds.",
        hint="It may be overloaded, or its model too large for the machine.",
    )


def broke_off(name: str) -> BackendUnavailableError:
    """Say that an answer began and did not end."""
    return BackendUnavailableError(f"{sentence(name)} broke off in the middle of an answer.")


def not_a_model_server(name: str, found: str) -> BackendUnavailableError:
    """Say that something else is listening there."""
    return BackendUnavailableError(
        f"{sentence(name)} answered with {found}, not as a model server does.", hint=_ADDRESS_HINT
    )


def refused(
    name: str,
    status: int,
    body: str,
    *,
    request: Mapping[str, Any] | None = None,
    model: str | None = None,
    offered: tuple[str, ...] = (),
) -> BackendError:
    """Turn an HTTP error into what it means. `body` is its text, `offered` the models known to be there.

    Its words are left out where they repeat the `request`: all players read them, and the prompt may tell of
    secrets and whispers.
    """
    error = _error_object(body)
    message = _message(error)
    if _TOO_LONG.search(f"{error.get('type')} {error.get('code')} {message}"):
        return _too_long(name, error, message)
    if status in {400, 404} and model and re.search(r"\bmodel\b", message, re.IGNORECASE):
        return _no_such_model(name, model, offered)
    return _by_status(name, status, "" if request and _repeats(message, request) else message)


def refused_unasked(name: str, url: str, status: int, body: str) -> BackendError:
    """Turn the refusal of a server that nobody named, and that gets no key therefore, into what to do.

    macOS has a service on port 5000 that answers 403 to whatever it is asked.
    """
    if status == 401:
        hint = f"If it is yours, set MODEL_URLS={url} and MODEL_API_KEY to its key: keys go nowhere else."
        return KeyRefusedError(f"{sentence(name)} wants a key.", hint=hint)
    return not_a_model_server(name, "HTTP 403") if status == 403 else refused(name, status, body)


def own_words(body: str) -> str:
    """Give what a server says in the body of a refusal, shortened, without the full stop."""
    return _message(_error_object(body))[:_QUOTED].rstrip(". ")


def failed_in_stream(name: str, error: Any, request: Mapping[str, Any]) -> BackendError:
    """Turn an error that came as an event of a request's answer, in any of the shapes servers give it."""
    status = error.get("code") if isinstance(error, dict) else None
    if not (isinstance(status, int) and 400 <= status < 600):
        status = 0
    return refused(name, status, json.dumps({"error": error}), request=request)


def names_unsupported(status: int, body: str, parameters: frozenset[str]) -> frozenset[str]:
    """Tell which of the `parameters` sent the server does not know, rather than dislikes the value of."""
    message = str(_error_object(body).get("message") or "")
    if status not in {400, 422} or _TOO_LONG.search(message) or not _UNSUPPORTED.search(message):
        return frozenset()
    return frozenset(name for name in parameters if re.search(rf"\b{name}\b", message))


def refuses_roles(status: int, body: str) -> bool:
    """Tell whether a server's chat template wants nothing but user and assistant, in turn.

    llama.cpp before its `chat_template_caps` answered 500 to what a template raised, others 400.
    """
    return status in {400, 422, 500} and bool(_ROLES.search(str(_error_object(body).get("message") or "")))


def _too_long(name: str, error: dict[str, Any], message: str) -> PromptTooLongError:
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if not (isinstance(prompt, int) and isinstance(context, int)):
        found = next((match for pattern in _NUMBERS if (match := pattern.search(message))), None)
        prompt, context = (int(found["prompt"]), int(found["context"])) if found else (None, None)
    size = f" ({prompt} tokens)" if prompt is not None else ""
    room = f" of {context} tokens" if context is not None else ""
    return PromptTooLongError(
        f"The prompt{size} does not fit into the context{room} of {name}.",
        prompt_tokens=prompt,
        context_length=context,
    )


def _no_such_model(name: str, model: str, offered: tuple[str, ...]) -> BackendError:
    there = f"It offers: {', '.join(offered[:20])}." if offered else "Ask for a model from its list."
    return ModelRefusedError(
        f"{sentence(name)} refused the model {model[:_QUOTED]!r}.", model=model, hint=there
    )


def _by_status(name: str, status: int, message: str) -> BackendError:
    quoted = f": {message[:_QUOTED]}" if message else "."
    error: BackendUnavailableError
    match status:
        case 401 | 403:
            error = KeyRefusedError(f"{sentence(name)} refused the API key.", hint=_KEY_HINT)
        case 404 | 405 | 501:
            error = not_a_model_server(name, f"HTTP {status}")
        case 429:
            return BackendBusyError(f"{sentence(name)} has too many requests.", hint="Try again in a minute.")
        case 503 if "busy" in message.lower():
            return BackendBusyError(f"{sentence(name)} is busy with another answer.", hint="Try again soon.")
        case 503 if "load" in message.lower():
            error = BackendLoadingError(
                f"{sentence(name)} is still loading its model.", hint="Try again in a moment."
            )
        case _ if 300 <= status < 400:
            error = not_a_model_server(name, "a redirect to another address")
        case 0:
            error = BackendUnavailableError(f"{sentence(name)} failed in the middle of an answer{quoted}")
        case _ if status >= 500:
            error = BackendUnavailableError(f"{sentence(name)} failed (HTTP {status}){quoted}")
        case _:
            return BackendError(f"{sentence(name)} refused the request (HTTP {status}){quoted}")
    return error


def _error_object(body: str) -> dict[str, Any]:
    """Find what went wrong, in `{"error": {...}}`, `{"error": "..."}`, FastAPI's `detail` or plain text."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        text = " ".join(body.split())
        return {"message": "" if text.startswith("<") else text}
    if isinstance(data, dict):
        data = data.get("error") or data.get("detail") or data
    match data:
        case dict():
            return data
        case list():
            return {"message": "; ".join(_validation(item) for item in data if isinstance(item, dict))}
    return {"message": str(data or "")}


def _message(error: dict[str, Any]) -> str:
    return sound(str(error.get("message") or error.get("msg") or ""))  # the latter: KoboldCpp


def _validation(item: dict[str, Any]) -> str:
    """Read one of FastAPI's complaints, without the `input` that repeats the request."""
    place = item.get("loc")
    return f"{place[-1] if isinstance(place, list) and place else 'request'}: {item.get('msg')}"


def _repeats(words: str, request: Mapping[str, Any]) -> bool:
    """Tell whether a server's words have a piece of a request's texts in them."""
    texts = [*(str(one["content"]) for one in request.get("messages", ())), *request.get("input", ())]
    sent = "\n".join(texts)
    ends = range(_ECHO, min(len(words), _QUOTED) + 1)
    return any(words[end - _ECHO : end] in sent for end in ends)


def _network_reason(cause: BaseException | None) -> str:
    """Name the cause without its own text: that may hold a URL with credentials."""
    while cause is not None:
        for kind, reason in _NETWORK:
            if isinstance(cause, kind):
                return reason
        cause = cause.__cause__ or cause.__context__
    return "the connection failed"
