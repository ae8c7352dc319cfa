"""What a service asks for when it takes either a client or a test's stand-in for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["TokenChecker"]

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class TokenChecker(Protocol[AnswerT_co]):
    """Whatever can be asked for a token, to write down what a function needs and to pass it a fake in a test.

    `WonderClient` is a ``TokenChecker[PaymentToken]``, and `AsyncWonderClient` a
    ``TokenChecker[Awaitable[PaymentToken]]``.
    """

    def check_token(self, token: str | UUID, *, customer_uuid: str | UUID | None = None) -> AnswerT_co:
        """Ask once how far a token is; see `WonderClient.check_token` for what it takes, returns and raises."""
        ...
