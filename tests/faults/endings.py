"""How a call may end with secrets in reach: responses, errors and wrong arguments that have them."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs
from crashes import CARD, HOLDER, NUMBER
from crashes import SECRET_TOKEN as TOKEN
from faults.responses import good
from wonder_payment import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StillPendingError,
)
from wonder_payment.simulator import Fault

DOTTED, SPACED, DASHED = (separator.join(re.findall("....", NUMBER)) for separator in ".\x20-")

CLOSED_PORT = "http://127.0.0.1:1"


class StopHere(Exception):  # noqa: N818 (it is not one of our errors)
    """The error of a callback."""


def stop(*_seen: object) -> None:
    raise StopHere


@attrs.frozen
class Ending:
    """How a call ends. The first attempt gets a 503 and is retried, except in a call that times out.

    Attributes:
        check: What check_token() raises; None if it returns a token.
        wait: The same for wait_for_token().
        fault: What the simulator does with every later request.
        settings: The settings of the client.
        options: The options of wait_for_token().
        token: The token.
        is_closed: Whether the client is closed before the call.
    """

    check: type[BaseException] | None
    wait: type[BaseException] | None
    fault: Fault | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    token: object = TOKEN
    is_closed: bool = False

    @property
    def times_out(self) -> bool:
        """Whether attempts end by a real timeout: on a busy machine, any attempt might."""
        return "timeout" in self.settings


def responded(check: type[BaseException] | None, wait: type[BaseException] | None = None, **fault: Any) -> Ending:
    """Return how calls end after this response; with one class, both end in it."""
    body = fault.pop("json", None)
    if body is not None:
        fault["body"] = json.dumps(body)
    return Ending(check, wait or check, Fault(times=math.inf, **fault))


def error_body(message: str, code: object = "E000404") -> dict[str, Any]:
    return {"code": code, "message": message}


LATER = StillPendingError
GOOD = good(token=TOKEN, credit_card=CARD)
PENDING = good(token=TOKEN, credit_card=CARD, state="pending")

ENDINGS = {
    "verified": responded(None, json=GOOD),
    "failed": responded(None, json=good(token=TOKEN, credit_card=CARD, state="failed", error_msg=f"{DOTTED} {TOKEN}")),
    "pending": responded(None, LATER, json=PENDING),
    "a state that is the card": responded(None, LATER, json=good(token=TOKEN, credit_card=CARD, state=DOTTED)),
    "400": responded(APIError, status=400, json=error_body(f"customer {TOKEN}", NUMBER)),
    "401": responded(AuthenticationError, status=401, json=error_body(f"{TOKEN.replace('-', '%2D')}")),
    "401 far off the clock": responded(AuthenticationError, status=401, clock_minutes=90, json=error_body(TOKEN)),
    "404": responded(NotFoundError, status=404, json=error_body(f"no token {TOKEN.upper()}, card {NUMBER}")),
    "404 with all groupings": responded(NotFoundError, status=404, json=error_body(f"{DOTTED} {SPACED} {DASHED}")),
    "429": responded(RateLimitError, LATER, status=429, json=error_body(f"{UUID(TOKEN)!r} {DASHED}")),
    "502 with a page": responded(ServerError, LATER, status=502, body=f"<p>{TOKEN} {NUMBER} {HOLDER}</p>"),
    "302": responded(APIError, status=302, headers={"Location": f"https://elsewhere.example/{TOKEN}"}),
    "an error in a good status": responded(APIError, json=error_body(SPACED, f"E {TOKEN}")),
    "no JSON": responded(InvalidResponseError, body=f'{{"code": 0, "token": "{TOKEN}", "number": "{NUMBER}'),
    "no token": responded(InvalidResponseError, json={"code": 0, "message": TOKEN, "data": {"card": CARD}}),
    "a token of two fields": responded(
        InvalidResponseError, json={"code": 0, "data": {"payment_token": {"token": TOKEN, "credit_card": CARD}}}
    ),
    "another token": responded(InvalidResponseError, json=GOOD | good(token=str(UUID(int=0)), credit_card=CARD)),
    "a state that is a list": responded(InvalidResponseError, json=good(token=TOKEN, credit_card=CARD, state=[NUMBER])),
    "a brand that is a number": responded(
        InvalidResponseError, json=good(token=TOKEN, credit_card=CARD | {"brand": int(NUMBER)})
    ),
    "a card that is text": responded(InvalidResponseError, json=good(token=TOKEN, credit_card=NUMBER)),
    "reset in the middle": responded(NetworkError, LATER, broken="reset in the middle", json=GOOD),
    "truncated": responded(NetworkError, LATER, broken="truncated", json=GOOD),
    "timeout": attrs.evolve(responded(RequestTimeoutError, LATER, delay=math.inf), settings={"timeout": 0.1}),
    "timeout in the middle": attrs.evolve(
        responded(RequestTimeoutError, LATER, drip=0.01, json=GOOD), settings={"timeout": 0.1}
    ),
    "connection refused": Ending(NetworkError, LATER, settings={"base_url": CLOSED_PORT}),
    "a card number for a token": Ending(InvalidTokenError, InvalidTokenError, token=NUMBER),
    "a token without dashes": Ending(InvalidTokenError, InvalidTokenError, token=TOKEN.replace("-", "")),
    "a card for a token": Ending(InvalidTokenError, InvalidTokenError, token=CARD),
    "a closed client": Ending(ConfigurationError, ConfigurationError, is_closed=True),
    "on_retry raises": Ending(StopHere, StopHere, settings={"on_retry": stop}),
    "on_poll raises": attrs.evolve(responded(None, StopHere, json=PENDING), options={"on_poll": stop}),
}
