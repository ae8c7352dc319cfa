"""Whether a retry may help after a failure of the transport."""

import httpx
import pytest
from wonder_payment import NetworkError, RequestTimeoutError
from wonder_payment._http.failures import network_error


def tls(reason: str) -> httpx.ConnectError:
    """Return what httpx raises for an error of OpenSSL."""
    return httpx.ConnectError(f"[SSL: {reason}] no (_ssl.c:1006)")


PERMANENT = {
    **{
        reason: tls(reason)
        for reason in (
            *("CERTIFICATE_VERIFY_FAILED", "TLSV1_ALERT_UNKNOWN_CA", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            *("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
            *("TLSV1_UNRECOGNIZED_NAME", "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "NO_SHARED_CIPHER"),
            *("EE_KEY_TOO_SMALL", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED"),
        )
    },
    "malformed": httpx.RemoteProtocolError("illegal status line"),
    "our own": httpx.LocalProtocolError("Illegal header value"),
    "scheme": httpx.UnsupportedProtocol("no"),
    "SOCKS password": httpx.ProxyError("Invalid username/password"),
    **{f"proxy {status}": httpx.ProxyError(f"{status} No") for status in (400, 401, 403, 404, 407, 499)},
}
TRANSIENT = {
    **{reason: tls(reason) for reason in ("UNEXPECTED_EOF_WHILE_READING", "PROTOCOL_IS_SHUTDOWN", "DECRYPTION_FAILED")},
    "name": httpx.ConnectError("[Errno -2] Name or service not known"),
    "ended": httpx.RemoteProtocolError("Server disconnected without sending a response."),
    "cut off": httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    **{f"proxy {status}": httpx.ProxyError(f"{status} No") for status in (408, 429, 500, 502, 503)},
    "proxy": httpx.ProxyError("Connection refused"),
}


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("error", PERMANENT.values(), ids=PERMANENT)
def test_a_permanent_failure_is_not_transient(error: Exception, *, is_late: bool) -> None:
    failure = network_error(error, is_late=is_late)
    assert (type(failure), failure.is_transient) == (NetworkError, False)
    assert "Retry later" not in str(failure)


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
def test_a_transient_failure_is_transient(error: Exception) -> None:
    failure = network_error(error, is_late=False)
    assert (type(failure), failure.is_transient) == (NetworkError, True)
    assert str(failure).endswith("Retry later.")
    assert type(network_error(error, is_late=True)) is RequestTimeoutError


@pytest.mark.parametrize("status", [400, 403, 404, 407])
def test_a_rejection_by_the_proxy_says_what_to_check(status: int) -> None:
    host, user = "Check that the proxy allows the gateway's host.", "check the user name and the password"
    text = str(network_error(httpx.ProxyError(f"{status} No"), is_late=False))
    assert (host in text, user in text) == (status != 407, status == 407)


def test_a_certificates_problem_is_named() -> None:
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"
    error = httpx.ConnectError(text)
    assert "No secure connection: certificate has expired." in str(network_error(error, is_late=False))
