"""The exceptions of this package, as one tree.

::

    WonderError
    ├── ConfigurationError        a setting or an argument is missing or wrong, or the client is closed
    ├── InvalidTokenError         not a UUID (also a ValueError); nothing was sent
    ├── SigningError              a signer failed; the request was not sent
    ├── NetworkError              no response: connection refused, reset or broken off
    │   └── RequestTimeoutError   no response in time
    ├── APIError                  the gateway returned an error
    │   ├── BadRequestError       400, 422
    │   ├── AuthenticationError   401, 403
    │   ├── NotFoundError         404
    │   ├── RateLimitError        429
    │   └── ServerError           500 and above
    ├── InvalidResponseError      a good status, but the response breaks the contract
    ├── InvalidSignatureError     verify_request() rejected a signed request of the vendor
    └── StillPendingError         a wait timed out while 3-D Secure was still pending

The clients raise no other exception of their own. Errors of a callback or of a mock transport, and bugs of this
package, propagate unchanged. A token that failed 3-D Secure is a result, not an exception.
"""

from typing import Any

from .models import PaymentToken


class WonderError(Exception):
    """The base class of this package's exceptions.

    You can raise these errors without arguments, for example in a test. ``args`` has only the message. If a task queue
    rebuilds an error from its ``args``, the other attributes have the values of the class.

    Attributes:
        request_id: The X-Request-ID of the last HTTP request; None if there was none, or it is not known. Give it to
            the vendor's support.
        status_code: The HTTP status of the response; None if there was none, or it is not known. It is below 300 if
            only the body has an error.
        retry_after: The seconds to wait, from the ``Retry-After`` header (seconds or a date); None if there was none,
            or it is not known.
        attempts: How many attempts were made; 0 if nothing was sent, None if it is not known.
        is_transient: Whether the same call may succeed later. Attempts that failed with such an error were already
            retried according to the `RetryPolicy`.
    """

    request_id: str | None = None
    status_code: int | None = None
    retry_after: float | None = None
    attempts: int | None = None
    is_transient: bool = False

    def __init__(self, summary: str = "No details are known.", /, **attributes: Any) -> None:
        """Take a summary that says what happened and what to do; the attributes are those of the class."""
        super().__init__(summary)
        self.__dict__.update(attributes)

    def __str__(self) -> str:
        """Append what the vendor's support asks for to the message, as far as it is known."""
        known = [f"request id {self.request_id}"] if self.request_id else []
        if self.attempts is not None:
            known.append({0: "nothing was sent", 1: "1 attempt"}.get(self.attempts, f"{self.attempts} attempts"))
        return f"{self.args[0]} ({', '.join(known)})" if known else str(self.args[0])


class ConfigurationError(WonderError):
    """A setting or an argument is missing or wrong, or the client is closed."""


class InvalidTokenError(WonderError, ValueError):
    """The token, ``customer_uuid`` or ``verify_uuid`` is not a UUID; nothing was sent."""


class SigningError(WonderError):
    """The signer failed, or was slower than the attempt's timeout. The request was not sent.

    The signer's own error is the cause. Nothing is retried, and a batch ends, because some modules lock
    themselves after a few failures.
    """


class NetworkError(WonderError):
    """No attempt got a complete response. Retrying is safe: a check changes nothing at the gateway.

    ``is_transient`` is False if a retry would fail again: for a wrong certificate, host name, TLS version or HTTP
    protocol, and for a proxy's 4xx other than 408 and 429.
    """

    is_transient = True


class RequestTimeoutError(NetworkError):
    """No response arrived in time, or the call's time ended before it got a connection or a signature.

    In the second case the last attempt was not sent, and its ``request_id`` is None.
    """


class APIError(WonderError):
    """The gateway returned an error.

    Attributes:
        code: The error code in the body, if there was one: a string such as ``E000002``, or a number.
        message: The error message in the body, if there was one. Everything that could be a secret is cut out.
    """

    code: str | float | None = None
    message: str | None = None


class BadRequestError(APIError):
    """400 or 422: the gateway rejected the parameters. The same call will fail again."""


class AuthenticationError(APIError):
    """401 or 403: the gateway rejected the signature or the app. The same call will fail again."""


class NotFoundError(APIError):
    """404: the gateway does not know this token or customer."""


class RateLimitError(APIError):
    """429: too many requests. ``retry_after`` is the time to wait in seconds, if the gateway returned one."""

    is_transient = True


class ServerError(APIError):
    """500 and above: the gateway, or a proxy in front of it, failed. Retry later."""

    is_transient = True


class InvalidResponseError(WonderError):
    """The status was good, but the response breaks the contract. The token's state is unknown."""


class InvalidSignatureError(WonderError):
    """A signed request, such as a webhook, failed verification. Do not trust it. The message says why."""


class StillPendingError(WonderError):
    """A wait timed out while 3-D Secure was still pending. The same wait may succeed later.

    Attributes:
        token: The last result; None if no poll succeeded.
        last_error: The error of the last poll, which is also the cause; None if the last poll succeeded.
        elapsed: Seconds waited.
        polls: How many polls were made; ``attempts`` also counts their retries.
    """

    is_transient = True
    token: PaymentToken | None = None
    last_error: WonderError | None = None
    elapsed: float | None = None
    polls: int | None = None
