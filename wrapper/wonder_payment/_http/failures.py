"""What an error of the transport means: which network error it is, and whether a retry may help. No I/O."""

import re
import ssl
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
    r"\[SSL: \w*(CERT|CIPHER|HANDSHAKE_FAILURE|HTTP_REQUEST|KEY_TOO_SMALL|LEGACY|NAME|(NO|UNSUPPORTED)_PROTOCOL|"
    "UNKNOWN_CA|VERSION)"
)

# How h11 reports that a connection ended too early: no fault of the protocol.
_ENDED = re.compile("disconnected|closed connection|incomplete", re.IGNORECASE)

_TLS_ADVICE = (
    "Check base_url, the trusted certificates (ca_file=, SSL_CERT_FILE, SSL_CERT_DIR), client_certificate= if the "
    "server requires one, and this machine's clock."
)
_PROTOCOL_ADVICE = "Check base_url, and whether a proxy or a firewall changes the response."

# What a proxy says that every request would get again.
_PERMANENT_PROXY = re.compile(r"4(?!08|29)[0-9]{2}\b|Invalid username/password")


def network_error(error: BaseException, *, is_late: bool) -> NetworkError:
    """Return the error that the caller gets, with a copy of the transport's error as its cause.

    Args:
        error: What the transport raised.
        is_late: Whether the deadline has passed: the watchdog may have closed the connection.
    """
    quoted = redact(_QUOTED_BYTES.sub("…", str(error)))
    text = (proxy_failure(error) or quoted or type(error).__name__).rstrip(".")
    if isinstance(error, ssl.SSLCertVerificationError) or _PERMANENT_TLS.search(str(error)):
        certificate_problem = str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        reason = redact(certificate_problem).rstrip(".") or text
        failure = NetworkError(f"No secure connection: {reason}. {_TLS_ADVICE}", is_transient=False)
    elif isinstance(error, httpx.ProtocolError | httpx.UnsupportedProtocol) and not _ENDED.search(str(error)):
        failure = NetworkError(f"The response is not valid HTTP: {text}. {_PROTOCOL_ADVICE}", is_transient=False)
    elif isinstance(error, httpx.ProxyError) and _PERMANENT_PROXY.match(str(error)):
        advice = "" if PROXY_ADVICE in text else " Check that the proxy allows the gateway's host."
        failure = NetworkError(f"No response from the gateway: {text}.{advice}", is_transient=False)
    elif is_late or isinstance(error, httpx.TimeoutException | TimeoutError):
        failure = RequestTimeoutError("The gateway did not respond in time. Retry later.")
    else:
        failure = NetworkError(f"No response from the gateway: {text}. Retry later.")
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
    text = f"the proxy returned HTTP {found[0]} {httpx.codes.get_reason_phrase(int(found[0]))}".rstrip()
    return f"{text}: {PROXY_ADVICE}" if found[0] == "407" else text
