"""Redaction of text from outside, and clearing of frames, so that no secret reaches a log or a crash report."""

import functools
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])

_MAX_QUOTED = 200
_MAX_READ = 2_000

# Whatever could be a token, a signature or a key (32 characters or more in one run), or a card number.
_SECRET = re.compile(r"[\w+/=%-]{28,}(?=[\w+/=%-]{4})|(?:[0-9][ ._/-]?){8,}(?=(?:[0-9][ ._/-]?){3}[0-9])", re.ASCII)

# The packages whose frames hold the key, the token, the signed headers or the response while an attempt runs.
_LIBRARIES = {"aiohttp", "anyio", "cryptography", "h11", "h2", "httpcore", "httpx"}
_STANDARD = {"asyncio", "base64", "hmac", "json", "socket", "ssl"}
_PACKAGES = {"wonder_payment", "wonder_payment_client"} | _LIBRARIES | _STANDARD


def last_four(secret: str) -> str:
    """Return ``secret`` with all but its last four characters hidden."""
    return f"…{secret[-4:]}"


def redact(text: str) -> str:
    """Return what may be quoted of a ``text`` from outside: one short line, with no token, card number or signature."""
    # Unprintable characters go first: they would hide a secret from the pattern and not from a reader.
    line = "".join(character for character in " ".join(text[:_MAX_READ].split()) if character.isprintable())
    line = without_secrets(line)
    if len(text) > _MAX_READ:
        line = f"{line[:-40]}…"  # the end may be half a secret
    return line if len(line) <= _MAX_QUOTED else f"{line[:_MAX_QUOTED]}…"


def without_secrets(text: str) -> str:
    """Return a text with everything cut out that could be a token, a card number, a signature or a key."""
    return _SECRET.sub("…", text)


def clears_locals(function: _FunctionT) -> _FunctionT:
    """Decorate a public function so that no frame of an error that leaves it holds a secret.

    Crash reporters print the local variables of every frame in a traceback. The traceback stays whole: our frames and
    the HTTP libraries' lose their locals, those of the caller's callbacks and mock transports keep them.
    """

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        handled = sys.exception()
        try:
            return await function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear_locals(error, handled)
            raise

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear_locals(error, handled)
            raise

    return cast("_FunctionT", call_async if inspect.iscoroutinefunction(function) else call)


def clear_locals(error: BaseException | None, handled: BaseException | None = None) -> None:
    """Clear the locals of the frames of an error, of its causes and of the errors in their contexts.

    Args:
        error: The error.
        handled: The error that the caller was already handling. It and its causes are the caller's and stay unchanged.
    """
    left: list[BaseException | None] = [error]
    seen = {id(handled)}
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__]
        for frame, _line in traceback.walk_tb(one.__traceback__):
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES:
                with suppress(RuntimeError):  # the frame still runs
                    frame.clear()
