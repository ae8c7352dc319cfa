"""The tokens of a simulator, and the course of 3-D Secure for each."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

import attrs

from wonder_payment.config import checked_uuid
from wonder_payment.models import TokenState, TokenType, UUIDLike

from .faults import Fault
from .values import is_number, is_text, is_text_map, must_be, optional
from .variant import TEST_CUSTOMER_UUID, TEST_VERIFY_UUID

__all__ = ["SAMPLE_CARD", "TEST_TOKENS", "SimulatedToken", "TestToken"]

SAMPLE_CARD: Mapping[str, str | None] = {
    "number": "411111******1111",
    "exp_month": "12",
    "exp_year": "2030",
    "holder_name": "SAM SAMPLE",
    "brand": "visa",
    "billing_currency": "HKD",
}

# Invented, like every code of the simulator: the vendor documents none.
SAMPLE_ERROR = ("SIM_3DS_DECLINED", "The simulated cardholder did not pass 3-D Secure.")


def _states(states: Sequence[str]) -> tuple[str, ...]:
    if (
        isinstance(states, str)
        or not isinstance(states, Sequence)
        or not states
        or not all(isinstance(state, str) for state in states)
    ):
        raise ValueError("states must be a list of at least one state, such as ['pending', 'success']")
    return tuple(states)


def _customer_uuid(value: UUIDLike | None) -> str:
    return str(checked_uuid("customer_uuid", TEST_CUSTOMER_UUID if value is None else value))


def _verify_uuid(value: UUIDLike | None) -> str:
    return str(checked_uuid("verify_uuid", TEST_VERIFY_UUID if value is None else value))


@attrs.define(kw_only=True)
class SimulatedToken:
    """A payment token, and the course of its 3-D Secure.

    Attributes:
        states: The state at the first poll, at the second poll, and so on. The last state stays.
        token: Its UUID.
        customer_uuid: Its customer; None is `TEST_CUSTOMER_UUID`.
        verify_uuid: Its ``verify_uuid``; None is `TEST_VERIFY_UUID`.
        after: Seconds for which the token is pending, however often it is polled. Then it has its last state. None
            counts polls instead.
        token_type: The kind of payment method.
        card: The card in the response; None is sent as null.
        error_code: The ``error_code`` of a failed token; None sends a sample.
        error_message: The ``error_msg`` of a failed token; None sends a sample.
        faults: The faults of its first requests.
        polls: How often it was polled.
        created: When it was created, for ``after`` (seconds of ``time.monotonic``).

    Raises:
        ValueError: A value is wrong. The message names the attribute.
        InvalidTokenError: ``customer_uuid`` or ``verify_uuid`` is not a UUID.
    """

    states: Sequence[str] = attrs.field(default=(TokenState.PENDING,), converter=_states)
    token: str = attrs.field(factory=lambda: str(uuid4()))
    customer_uuid: str = attrs.field(default=None, converter=_customer_uuid)
    verify_uuid: str = attrs.field(default=None, converter=_verify_uuid)
    after: float | None = attrs.field(
        default=None, validator=must_be("a number of seconds, at least 0", optional(is_number(0)))
    )
    token_type: str = attrs.field(default=TokenType.CREDIT_CARD, validator=must_be("a string", is_text))
    card: Mapping[str, str | None] | None = attrs.field(
        default=SAMPLE_CARD, validator=must_be("an object with string values, or null", optional(is_text_map))
    )
    error_code: str | None = attrs.field(default=None, validator=must_be("a string", optional(is_text)))
    error_message: str | None = attrs.field(default=None, validator=must_be("a string", optional(is_text)))
    faults: list[Fault] = attrs.field(factory=list)
    polls: int = 0
    created: float = attrs.field(factory=time.monotonic)

    @property
    def state(self) -> str:
        """The state that the next poll returns."""
        if self.after is not None:
            return self.states[-1] if time.monotonic() - self.created >= self.after else TokenState.PENDING
        return self.states[min(self.polls, len(self.states) - 1)]

    def poll(self) -> dict[str, Any]:
        """Count a poll, and return the ``payment_token`` object of its response."""
        state = self.state
        self.polls += 1
        content: dict[str, Any] = {
            "token_type": self.token_type,
            "token": self.token,
            "state": state,
            "default": False,
            "credit_card": None if self.card is None else dict(self.card),
        }
        if state == TokenState.FAILED:
            code, message = SAMPLE_ERROR
            content |= {"error_code": self.error_code or code, "error_msg": self.error_message or message}
        return content


@attrs.frozen
class TestToken:
    """A token that every simulator has, with a fixed behaviour.

    Attributes:
        token: Its UUID.
        behaviour: What a client sees.
        settings: The arguments of its `SimulatedToken`.
    """

    __test__: ClassVar[bool] = False  # pytest would collect the class by its name

    token: str
    behaviour: str
    settings: dict[str, Any]

    @classmethod
    def number(cls, number: int, behaviour: str, *states: str, **settings: Any) -> Self:
        """Return the test token with this number in the last group of its UUID."""
        return cls(str(UUID(f"00000000-0000-4000-8000-{number:012}")), behaviour, {"states": states, **settings})

    def make(self) -> SimulatedToken:
        """Return a new token with this behaviour."""
        settings: dict[str, Any] = self.settings | {"faults": list(self.settings.get("faults", ()))}
        return SimulatedToken(token=self.token, **settings)


_PENDING, _SUCCESS, _FAILED = TokenState.PENDING, TokenState.SUCCESS, TokenState.FAILED
_RATE_LIMIT = Fault(status=429, headers={"Retry-After": "1"}, times=2)
_UNKNOWN_TYPE = "OctopusAutoDebit"
_HTML = {"Content-Type": "text/html"}

TEST_TOKENS: tuple[TestToken, ...] = (
    TestToken.number(1, "verified", _SUCCESS),
    TestToken.number(2, "failed, with an error code", _FAILED),
    TestToken.number(3, "pending for two polls, then verified", _PENDING, _PENDING, _SUCCESS),
    TestToken.number(4, "pending forever", _PENDING),
    TestToken.number(
        5,
        'an Alipay wallet: verified, `"credit_card": null`',
        _SUCCESS,
        token_type=TokenType.ALIPAY_AUTO_DEBIT,
        card=None,
    ),
    TestToken.number(6, "a state that this version does not know", "reviewing"),
    TestToken.number(7, "a token type that this version does not know, verified", _SUCCESS, token_type=_UNKNOWN_TYPE),
    TestToken.number(8, "rate limited twice (`Retry-After: 1`), then verified", _SUCCESS, faults=[_RATE_LIMIT]),
    TestToken.number(
        9, "502 with an HTML page twice, then verified", _SUCCESS, faults=[Fault(status=502, headers=_HTML, times=2)]
    ),
    TestToken.number(
        10, "520 with an HTML page, always", _SUCCESS, faults=[Fault(status=520, headers=_HTML, times=math.inf)]
    ),
    TestToken.number(11, "never responds", _SUCCESS, faults=[Fault(delay=math.inf, times=math.inf)]),
)
"""The test tokens that every simulator has."""
