"""What a caller may implement: a signer, and what checks tokens in a test."""

from typing import Protocol, TypeVar, runtime_checkable

from .models import UUIDLike

__all__ = ["Signer", "TokenChecker"]

ResultT_co = TypeVar("ResultT_co", covariant=True)


@runtime_checkable
class Signer(Protocol):
    """Signs with a private key that never leaves its module, such as an HSM or a cloud's key service."""

    def sign(self, message: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of a message, with SHA-256. Several threads may call it at a time."""
        ...


class TokenChecker(Protocol[ResultT_co]):
    """Anything that checks a token. Use it as the type of a function's argument, so that a test can pass a fake.

    `WonderClient` is a ``TokenChecker[PaymentToken]``, and `AsyncWonderClient` a
    ``TokenChecker[Awaitable[PaymentToken]]``.
    """

    def check_token(
        self, token: UUIDLike, *, customer_uuid: UUIDLike | None = None, verify_uuid: UUIDLike | None = None
    ) -> ResultT_co:
        """Check a token once; see `WonderClient.check_token`."""
        ...
