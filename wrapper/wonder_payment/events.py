"""The argument of a client's ``on_attempt`` callback."""

import attrs

from .errors import WonderError

__all__ = ["AttemptEvent"]


@attrs.frozen
class AttemptEvent:
    """Describes one attempt. ``on_attempt`` is called with it after each attempt.

    Attributes:
        number: The number of the attempt within its call, from 1; 0 if no request was sent.
        status: The HTTP status; None if there was no response.
        error: Why the attempt failed; None if it succeeded.
        seconds: How long the attempt took.
        request_id: The attempt's X-Request-ID; None if no request was sent.
    """

    number: int
    status: int | None
    error: WonderError | None
    seconds: float
    request_id: str | None
