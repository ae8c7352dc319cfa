"""What an error of the transport means: which network error it is, and whether a retry may help. No I/O."""

import re
import ssl
from http import HTTPStatus
from typing import Any

import httpx

from wonder_payment._redact import redact
from wonder_payment.errors import NetworkError, RequestTimeoutError

from .response import PROXY_ADVICE

# What a transport raises if the network or the peer fails. Anything else is a bug, or an error of the caller's code.
TRANSPORT_ERRORS = (httpx.TransportError, OSError)

# Parsers quote the bytes of the response that they cannot read; they may hold a cardholder's name.
_QUOTED_BYTES = re.compile(r"(bytearray\()?\bb['\"].*", re.DOTALL)

# OpenSSL's reasons that every connection would have again; any other reason means that this connection broke.
_PERMANENT_TLS = re.compile(
    "CERT|CIPHER|HANDSHAKE_FAILURE|HTTP_REQUEST|KEY_TOO_SMALL|LEGACY|NAME|(NO|UNSUPPORTED)_PROTOCOL|UNKNOWN_CA|VERSION"
)

# How h11 reports that a connection ended too early: no fault of the protocol.
_ENDED = re.compile("disconnected|closed connection|incomplete", re.IGNORECASE)

_TLS_ADVICE = (
    "Check base_url, the trusted certificates (ca_file=, SSL_CERT_FILE, SSL_CERT_DIR), client_certificate= if the "
    "server requires one, and this machine's clock."
)
_PROTOCOL_ADVICE = "Check base_url, and whether a proxy or a firewall changes the response."

_PROTOCOL_ERRORS = (httpx.ProtocolError, httpx.UnsupportedProtocol)

# What a proxy says that every request would get again.
_PERMANENT_PROXY = re.compile(r"4(?!08|29)[0-9]{2}\b|Invalid username/password")


def network_error(error: BaseException, *, is_late: bool) -> NetworkError:
    """Return the error that the caller gets, with a copy of the transport's error as its cause.

    Args:
        error: What the transport raised.
        is_late: Whether the deadline has passed: the watchdog may have closed the connection.
    """
    text = proxy_failure(error) or redact(_QUOTED_BYTES.sub("…", str(error))) or type(error).__name__
    tls = _tls_error(error)
    summary, is_permanent = f"No response from the gateway: {text.rstrip('.')}.", True
    if isinstance(tls, ssl.SSLCertVerificationError) or (
        tls and _PERMANENT_TLS.search(getattr(tls, "reason", None) or "")
    ):
        reason = redact(getattr(tls, "verify_message", "")) or text
        summary = f"No secure connection: {reason.rstrip('.')}. {_TLS_ADVICE}"
    elif isinstance(error, _PROTOCOL_ERRORS) and not _ENDED.search(str(error)):
        summary = f"The response is not valid HTTP: {text.rstrip('.')}. {_PROTOCOL_ADVICE}"
    elif isinstance(error, httpx.ProxyError) and _PERMANENT_PROXY.match(str(error)):
        summary += "" if PROXY_ADVICE in text else " Check that the proxy allows the gateway's host."
    else:
        summary, is_permanent = f"{summary} Retry later.", False
    failure = NetworkError(summary)
    failure.is_transient = not is_permanent
    if not is_permanent and (is_late or isinstance(error, httpx.TimeoutException | TimeoutError)):
        failure = RequestTimeoutError("The gateway did not respond in time. Retry later.")
    # A fresh exception: the frames and the request of the original hold the signed headers.
    kind: Any = type(error) if type(error).__module__ in ("builtins", "httpx", "socket", "ssl") else OSError
    # The text of an SSLError is its second argument.
    failure.__cause__ = kind(error.errno, text) if isinstance(error, ssl.SSLError) else kind(text)
    return failure


def proxy_failure(error: BaseException) -> str | None:
    """Return what an error says if a proxy responded with an error status; None if no proxy did.

    The reason phrase is the proxy's own and may quote the credentials: the standard one stands for it.
    """
    found = re.match(r"[1-5][0-9]{2}\b", str(error))
    if not isinstance(error, httpx.ProxyError) or not found:
        return None
    status = int(found[0])
    known = f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
    advice = f": {PROXY_ADVICE}" if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else ""
    return f"the proxy returned HTTP {status}{known}{advice}"


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the error of the TLS library that caused an error; None if none did."""
    while error:
        if isinstance(error, ssl.SSLError):
            return error
        # httpcore drops the cause of its errors, but keeps it as their argument.
        causes = [error.__cause__, *error.args]
        error = next((cause for cause in causes if isinstance(cause, BaseException)), None)
    return None
