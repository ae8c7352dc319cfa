"""What can go wrong, as one tree.

::

    WonderError
    ├── ConfigurationError        a setting or an argument is missing or wrong, or the client is closed
    ├── InvalidTokenError         not a UUID (also a ValueError); nothing was sent
    ├── NetworkError              no answer came: refused, reset, broken off
    │   └── RequestTimeoutError   no answer came in time
    ├── APIError                  the gateway answered with an error
    │   ├── BadRequestError       400, 422
    │   ├── AuthenticationError   401, 403
    │   ├── NotFoundError         404
    │   ├── RateLimitError        429
    │   └── ServerError           500 and up
    ├── InvalidResponseError      the gateway answered well, but not what the contract says
    └── StillPendingError         a wait is over, and 3-D Secure is not

No other exception type leaves the clients, but for Ctrl-C and the cancellation of an asyncio task. A token that failed
3-D Secure is an answer, not an exception.
"""

from __future__ import annotations

import re
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .token import PaymentToken

_LONGEST_QUOTE = 200
_LONGEST_READ = 2_000

# Whatever could be a token, a signature or a key (32 characters or more in one run), or a card number.
_SECRET = re.compile(r"[\w+/=%-]{28,}(?=[\w+/=%-]{4})|(?:[0-9][ ._/-]?){8,}(?=(?:[0-9][ ._/-]?){3}[0-9])", re.ASCII)


def last_four(secret: str) -> str:
    """Return ``secret`` with all but its last four characters hidden."""
    return f"…{secret[-4:]}"


def redact(text: str) -> str:
    """Return what of a foreign ``text`` may be quoted: one short line, with no token, card number or signature."""
    # First of all without what is not printed: it would hide a secret from the pattern and not from a reader.
    line = "".join(character for character in " ".join(text[:_LONGEST_READ].split()) if character.isprintable())
    line = without_secrets(line)
    if len(text) > _LONGEST_READ:
        line = f"{line[:-40]}…"  # the end may be half a secret
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def without_secrets(text: str) -> str:
    """Return a text with all that could be a token, a card number, a signature or a key cut out."""
    return _SECRET.sub("…", text)


def tell(listener: Callable[..., object] | None, *what: object) -> None:
    """Call what the caller gave to be called."""
    if listener is not None:
        listener(*what)


class _Sealed(ContextDecorator):
    """Lets an exception out without the frames that it came through: the traceback ends in the caller's own line.

    The frames hold the key, the token, the answer and the signed headers, and a crash reporter prints them. Those of
    what the caller gave to be called are the caller's own, and stay.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        while traceback and traceback.tb_frame.f_code is not tell.__code__:
            traceback = traceback.tb_next
        if error and traceback:
            error.__traceback__ = traceback.tb_next
            return
        while error:
            error.__traceback__ = error.__context__ = None
            error = error.__cause__


SEALED = _Sealed()


class WonderError(Exception):
    """Whatever this package raises.

    Attributes:
        request_id: The X-Request-ID of the last HTTP request, where one was made. Support asks for it.
        attempts: How many attempts were made; 0 when nothing was sent.
        is_transient: Whether the same call may succeed later. What is transient was repeated as the `RetryPolicy` says.
    """

    request_id: str | None = None
    attempts: int = 0
    is_transient: bool = False

    def __init__(self, summary: str, **attributes: Any) -> None:
        """Say in plain sentences what happened and what to do; the attributes are those of the class."""
        super().__init__(summary)
        self.__dict__.update(attributes)

    def __str__(self) -> str:
        """End the message with what support asks for."""
        if not self.attempts:
            return f"{self.args[0]} (nothing was sent)"
        made = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.args[0]} (request id {self.request_id}, {made})"


class ConfigurationError(WonderError):
    """A setting or an argument is missing or wrong, or the client is closed."""


class InvalidTokenError(WonderError, ValueError):
    """The token, or the customer's UUID, is not a UUID; nothing was sent."""


class NetworkError(WonderError):
    """No answer came, on any attempt. The gateway may be asked again: a check changes nothing there."""

    is_transient = True


class RequestTimeoutError(NetworkError):
    """No answer came in time, on any attempt."""


class APIError(WonderError):
    """The gateway answered with an error.

    Attributes:
        status_code: The HTTP status; below 300 when the error stood in the body of a good answer.
        code: The error code in the body, if one was there: a string such as ``E000002``, or a number.
        message: The error message in the body, if one was there, with anything that could be a secret cut out.
        retry_after: Seconds after which the gateway wants to be asked again, if it said so (``Retry-After``).
    """

    status_code: int
    code: str | float | None = None
    message: str | None = None
    retry_after: float | None = None
    advice = ""


class BadRequestError(APIError):
    """400 or 422: the gateway does not accept the parameters. The same call will fail again."""

    advice = "Check the token and the customer's UUID."


class AuthenticationError(APIError):
    """401 or 403: the gateway refuses the signature, or the app may not ask. The same call will fail again."""

    advice = "Check the app id, that the vendor has the public half of this private key, and the environment."


class NotFoundError(APIError):
    """404: the gateway knows no such token, or no such customer."""

    advice = "Check that the token was made in this environment, for this app and this customer."


class RateLimitError(APIError):
    """429: too many requests. ``retry_after`` has the seconds to wait, if the gateway said so."""

    is_transient = True
    advice = "Ask less often."


class ServerError(APIError):
    """500 and up: the gateway, or what stands in front of it, is in trouble. Ask again later."""

    is_transient = True
    advice = "Ask again later."


class InvalidResponseError(WonderError):
    """The gateway answered well, but not what the contract says. Nothing is known of the token's state."""


class StillPendingError(WonderError):
    """A wait is over, and 3-D Secure is not. Its cause is the last look's error, if that one failed.

    Attributes:
        token: The last answer; None if no look was answered.
        elapsed: Seconds waited.
        polls: How many looks were made; ``attempts`` counts their retries, too.
    """

    token: PaymentToken | None
    elapsed: float
    polls: int
