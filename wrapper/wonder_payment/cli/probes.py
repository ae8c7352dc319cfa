"""What the doctor sends to the gateway, and what the responses prove. The verdicts are pure functions."""

import json
import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, cast

import attrs
import httpx

from wonder_payment import PaymentToken, RetryPolicy, TokenReference, WonderClient, WonderError
from wonder_payment._http.failures import proxy_failure
from wonder_payment._http.received import MAX_BYTES
from wonder_payment._http.response import deciding_code, is_good_code
from wonder_payment._redact import last_four, redact
from wonder_payment.signing import WonderAuth

# The vendor's samples have the first path, the get-started guide the second. Which one is right is not known.
ECHO_PATHS = ("/svc/payment/api/v1/openapi/echo", "/svc/payment/api/v1/echo")

# As in the vendor's samples; the response is not documented.
_ECHO_BODY = {"message": "Hello"}

# Seconds for each step of a request.
_TIMEOUT = 10.0

# E000002 is "Invalid Credential Format".
_REJECTED = (401, 403, "401", "403", "E000002")


class Verdict(StrEnum):
    """What a finding says."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Reply:
    """The gateway's response to one request, without secrets.

    Attributes:
        request: What was sent, in a few words.
        status: The HTTP status; None without a response.
        code_name: The field of the code: ``code``, or ``error_code`` as on older pages; None if there is none.
        code: The code.
        text: The message, or why there is no good response.
        request_id: The X-Request-ID of the request.
        date: The ``Date`` header.
    """

    request: str = ""
    status: int | None = None
    code_name: str | None = None
    code: str | float | None = None
    text: str = ""
    request_id: str | None = None
    date: str | None = None

    def __str__(self) -> str:
        """Return the response in one line."""
        parts = [] if self.status is None else [f"HTTP {self.status}"]
        if self.code_name:
            parts.append(f"{self.code_name} {json.dumps(self.code, ensure_ascii=False)}")
        return ": ".join(filter(None, [", ".join(parts), self.text.rstrip(".")]))


def signature_verdict(reply: Reply) -> Verdict:
    """Return what the response to a signed request says about the signature: accepted, rejected or unknown."""
    if reply.status in _REJECTED or reply.code in _REJECTED:
        return Verdict.WRONG
    is_success = reply.status is not None and httpx.codes.is_success(reply.status)
    is_good = is_success and reply.code_name is not None and is_good_code(reply.code_name, reply.code)
    return Verdict.OK if is_good else Verdict.UNKNOWN


def random_token_verdict(reply: Reply) -> Verdict:
    """Return what the check of a random token says about the endpoint: it must know the request, but not the token."""
    verdict = signature_verdict(reply)
    # A "not found" without a code comes from some other server.
    is_not_found = (reply.status == 404 and reply.code is not None) or (  # noqa: PLR2004
        reply.status == 200 and reply.code in (404, "404")  # noqa: PLR2004
    )
    return verdict if verdict is Verdict.WRONG else Verdict.OK if is_not_found else Verdict.UNKNOWN


def despite_echo(check: Verdict, echo: Verdict) -> Verdict:
    """Return the verdict on a check: an accepted echo request proves that a rejection is not about the signature."""
    return Verdict.UNKNOWN if (check, echo) == (Verdict.WRONG, Verdict.OK) else check


def best(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on alternatives: one good one is enough."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.OK, Verdict.WRONG) if verdict in found), Verdict.UNKNOWN)


def reply_to(response: httpx.Response, body: bytes) -> Reply:
    """Return what may be shown of a response."""
    head = Reply(status=response.status_code, date=response.headers.get("Date"))
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        kind = redact(response.headers.get("Content-Type", "no content type"))
        return attrs.evolve(head, text=f"not a JSON object ({kind})" if body else "empty body")
    envelope = cast("dict[str, Any]", content)
    name, value = deciding_code(envelope)
    if type(value) not in (str, int, float):
        return attrs.evolve(head, text=redact(f"no code; the fields are {', '.join(envelope) or 'none'}"))
    message = envelope.get("message" if name == "code" else "error_message")
    return attrs.evolve(
        head, code_name=name, code=_shown(value), text=redact(message) if isinstance(message, str) else ""
    )


def _shown(code: object) -> str | float | None:
    if isinstance(code, str):
        return redact(code)
    text = redact(str(code))  # a long number may be a card number
    is_number = text == str(code) and (isinstance(code, int) or math.isfinite(cast("float", code)))
    return cast("float", code) if is_number else text  # JSON has no NaN


class Recorder(httpx.BaseTransport):
    """A transport that keeps what may be shown of the last response.

    Attributes:
        reply: The last response.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self.reply = Reply()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and keep its response."""
        request_id = request.headers.get("X-Request-ID")
        self.reply = Reply(request_id=request_id)
        response = self._transport.handle_request(request)
        try:
            body = next(response.iter_raw(MAX_BYTES + 1), b"")
        finally:
            response.close()
        self.reply = attrs.evolve(reply_to(response, body), request_id=request_id)
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


@attrs.frozen
class Trial:
    """The check of a token in one form of the request.

    Attributes:
        customer_uuid: The last characters of the customer's UUID in the path; None for the literal ``uuid``.
        verify_uuid: The last characters of the ``verify_uuid`` in the body; None without one.
        works: Whether the gateway returned the token.
        reply: The gateway's response.
    """

    customer_uuid: str | None
    verify_uuid: str | None
    works: bool
    reply: Reply

    @property
    def verdict(self) -> Verdict:
        """What the trial shows: the token was found, the signature was rejected, or something else."""
        if self.works:
            return Verdict.OK
        verdict = signature_verdict(self.reply)
        return verdict if verdict is Verdict.WRONG else Verdict.UNKNOWN


@attrs.frozen
class Gateway:
    """The gateway, for the doctor's requests.

    Attributes:
        settings: The client's arguments, with the key loaded and the origin as ``base_url``.
        recorder: The transport.
    """

    settings: dict[str, Any] = attrs.field(repr=False)
    recorder: Recorder

    def head(self) -> Reply:
        """Connect, without a signature."""
        return self._send("HEAD", "/")

    def echo(self, path: str) -> Reply:
        """Send the echo request: signed, and without side effects."""
        settings = self.settings
        auth = WonderAuth(settings["app_id"], settings["private_key"], origin=settings["base_url"])
        return self._send("POST", path, auth=auth, json=_ECHO_BODY)

    def _send(self, method: str, path: str, **options: Any) -> Reply:
        http = httpx.Client(
            transport=self.recorder, base_url=self.settings["base_url"], timeout=_TIMEOUT, trust_env=False
        )
        try:
            # Streamed, so that httpx does not decompress the body.
            with http.stream(method, path, headers={"Accept-Encoding": "identity"}, **options):
                pass
        except httpx.DecodingError:
            pass  # the signer reads a 401 to sign again, and the body was compressed nevertheless
        except (httpx.TransportError, OSError) as error:
            text = proxy_failure(error) or redact(str(error)) or type(error).__name__
            return Reply(request=f"{method} {path}", text=f"no response ({text.rstrip('.')})")
        return attrs.evolve(self.recorder.reply, request=f"{method} {path}")

    def check(self, reference: TokenReference) -> Trial:
        """Check a token once, without retries."""
        token, problem = None, ""
        wonder = WonderClient(
            **self.settings, retry=RetryPolicy.never(), timeout=_TIMEOUT, transport=self.recorder
        )  # not closed: that would close the transport
        try:
            token = wonder.check_token(
                reference.token, customer_uuid=reference.customer_uuid, verify_uuid=reference.verify_uuid
            )
        except WonderError as error:
            problem = str(error.args[0])
        reply = self.recorder.reply
        if token:
            reply = attrs.evolve(reply, text=_described(token))
        elif reply.status is None or signature_verdict(reply) is Verdict.OK:
            reply = attrs.evolve(reply, text=problem)
        uuids = reference.customer_uuid, reference.verify_uuid
        customer, verify = (None if uuid is None else last_four(str(uuid)) for uuid in uuids)
        return Trial(customer, verify, token is not None, reply)


def _described(token: PaymentToken) -> str:
    default = "absent" if token.is_default is None else str(token.is_default).lower()
    return f"state {redact(token.state)}, type {redact(token.token_type)}, default {default}"


def trials(gateway: Gateway, token: TokenReference) -> list[Trial]:
    """Check a token with the literal path and the customer's UUID, each with and without ``verify_uuid``."""
    customers = [None, token.customer_uuid] if token.customer_uuid else [None]
    verifies = [None, token.verify_uuid] if token.verify_uuid else [None]
    return [
        gateway.check(TokenReference(token.token, customer, verify)) for customer in customers for verify in verifies
    ]


def recommended(made: Iterable[Trial]) -> Trial | None:
    """Return the trial whose arguments to use; None if none worked.

    The customer's UUID comes first: the literal path is most likely a slip of the reference page. Then, the fewest
    arguments.
    """
    working = [trial for trial in made if trial.works]
    return min(working, key=lambda trial: (trial.customer_uuid is None, trial.verify_uuid is not None), default=None)
