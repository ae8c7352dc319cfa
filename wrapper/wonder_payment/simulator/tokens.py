"""The tokens a simulated gateway holds, and how 3-D Secure goes for each."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

import attrs

from wonder_payment.token import TokenState, TokenType

from .faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SAMPLE_CARD", "WELL_KNOWN", "SimulatedToken", "WellKnown"]

SAMPLE_CARD: Mapping[str, str | None] = {
    "number": "411111******1111",
    "exp_month": "12",
    "exp_year": "2030",
    "holder_name": "SAM SAMPLE",
    "brand": "visa",
    "billing_currency": "HKD",
}

# As an issuer's refusal looks in the answer; invented, like every code of the simulator.
SAMPLE_ERROR = ("SIM_3DS_DECLINED", "The simulated card holder did not pass 3-D Secure.")


def _states(states: Sequence[str]) -> tuple[str, ...]:
    if (
        isinstance(states, str)
        or not isinstance(states, Sequence)
        or not states
        or not all(isinstance(state, str) for state in states)
    ):
        raise ValueError("states must be a list of at least one state, such as ['pending', 'success']")
    return tuple(states)


@attrs.define(kw_only=True)
class SimulatedToken:
    """A token and what becomes of it.

    Attributes:
        token: Its UUID.
        states: Its state at the first look, the second, and so on; the last one stays.
        after: Seconds since its making until which it is pending, whatever the number of looks; None: go by looks.
        token_type: What is stored.
        card: The card in the answer; None is sent as null.
        error_code: What is sent with a failed state.
        error_message: What is sent with a failed state.
        faults: What goes wrong when it is asked for, and how often.
    """

    states: Sequence[str] = attrs.field(converter=_states)
    token: str = attrs.field(factory=lambda: str(uuid4()))
    after: float | None = None
    token_type: str = TokenType.CREDIT_CARD
    card: Mapping[str, str | None] | None = SAMPLE_CARD
    error_code: str | None = None
    error_message: str | None = None
    faults: list[Fault] = attrs.field(factory=list)
    looks: int = 0
    made: float = attrs.field(factory=time.monotonic)

    @property
    def state(self) -> str:
        """The state the next look sees."""
        if self.after is not None:
            return self.states[-1] if time.monotonic() - self.made >= self.after else TokenState.PENDING
        return self.states[min(self.looks, len(self.states) - 1)]

    def settle(self, state: str, error_code: str | None = None, error_message: str | None = None) -> None:
        """End 3-D Secure: from now on the token is in this state."""
        self.states, self.after = [state], None
        self.error_code, self.error_message = error_code, error_message

    def look(self) -> dict[str, Any]:
        """Return the ``payment_token`` of the answer to one look."""
        state = self.state
        self.looks += 1
        answer: dict[str, Any] = {
            "token_type": self.token_type,
            "token": self.token,
            "state": state,
            "default": False,
            "credit_card": None if self.card is None else dict(self.card),
        }
        if state == TokenState.FAILED:
            code, message = SAMPLE_ERROR
            answer |= {"error_code": self.error_code or code, "error_msg": self.error_message or message}
        return answer


@attrs.frozen
class WellKnown:
    """A token that every simulated gateway has, and that behaves the same on each.

    Attributes:
        token: Its UUID.
        behaviour: What a look at it sees.
        settings: What it is made of.
    """

    token: str
    behaviour: str
    settings: dict[str, Any]

    @classmethod
    def number(cls, number: int, behaviour: str, *states: str, **settings: Any) -> Self:
        """Return the well-known token with this number in its last group."""
        return cls(str(UUID(f"00000000-0000-4000-8000-{number:012}")), behaviour, {"states": states, **settings})

    def make(self) -> SimulatedToken:
        """Return a fresh one."""
        settings: dict[str, Any] = self.settings | {"faults": list(self.settings.get("faults", ()))}
        return SimulatedToken(token=self.token, **settings)


_PENDING, _SUCCESS, _FAILED = TokenState.PENDING, TokenState.SUCCESS, TokenState.FAILED
_TOO_MANY = Fault(status=429, headers={"Retry-After": "1"}, times=2)
_UNKNOWN_TYPE = "OctopusAutoDebit"
_HTML = {"Content-Type": "text/html"}

WELL_KNOWN: tuple[WellKnown, ...] = (
    WellKnown.number(1, "verified", _SUCCESS),
    WellKnown.number(2, "failed, with an error code", _FAILED),
    WellKnown.number(3, "pending at two looks, then verified", _PENDING, _PENDING, _SUCCESS),
    WellKnown.number(4, "pending for ever", _PENDING),
    WellKnown.number(
        5,
        'an Alipay wallet: verified, `"credit_card": null`',
        _SUCCESS,
        token_type=TokenType.ALIPAY_AUTO_DEBIT,
        card=None,
    ),
    WellKnown.number(6, "a state this version does not know", "reviewing"),
    WellKnown.number(7, "a token type this version does not know, verified", _SUCCESS, token_type=_UNKNOWN_TYPE),
    WellKnown.number(8, "rate limited twice (`Retry-After: 1`), then verified", _SUCCESS, faults=[_TOO_MANY]),
    WellKnown.number(
        9, "502 with an HTML page twice, then verified", _SUCCESS, faults=[Fault(status=502, headers=_HTML, times=2)]
    ),
    WellKnown.number(
        10, "520 with an HTML page, always", _SUCCESS, faults=[Fault(status=520, headers=_HTML, times=math.inf)]
    ),
    WellKnown.number(11, "never answers", _SUCCESS, faults=[Fault(delay=math.inf, times=math.inf)]),
)
"""The tokens that every simulated gateway has."""
