"""What the callbacks of a client get."""

import attrs

from .errors import WonderError

__all__ = ["AttemptEvent"]


@attrs.frozen
class AttemptEvent:
    """What ``on_attempt`` gets after each attempt.

    Attributes:
        number: The number of the attempt within its call, from 1; 0 if no request was sent.
        status: The HTTP status; None if there was no response.
        error: What went wrong; None if the attempt succeeded.
        seconds: How long it took.
        request_id: Its X-Request-ID; None if no request was sent.
    """

    number: int
    status: int | None
    error: WonderError | None
    seconds: float
    request_id: str | None
