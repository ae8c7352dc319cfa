"""Bad, huge and malicious responses: the caller gets the right token or a typed error, for little memory and time."""

import json
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from conftest import TRANSPORTS, Caller, key
from faults.judging import judge
from faults.responses import HOLDER, OTHER_ENCODINGS, RAW, Raw, Twice, bodies, good, nested, outcome_of, written
from faults.servers import a_server, read_request
from hypothesis import given, settings
from hypothesis import strategies as st
from wonder_payment import InvalidResponseError, PaymentToken, ServerError, WonderError

MIB = 1024 * 1024

# The same examples on every machine, and no database of examples.
stable = settings(derandomize=True, database=None, deadline=None, max_examples=500)


# What they mean


@stable
@given(body=bodies(), status=st.sampled_from([200] * 8 + [201, 204, 206, 304, 400, 401, 403, 404, 422, 429, 500, 520]))
def test_a_bad_response_is_the_right_token_or_a_typed_error(body: bytes, status: int) -> None:
    judge(outcome_of(body, status), body, status=status)


@stable
@given(body=st.binary(max_size=200))
def test_random_bytes_are_no_token(body: bytes) -> None:
    assert isinstance(outcome_of(body), InvalidResponseError)


def everywhere(value: Any) -> Iterator[bytes]:
    """Yield good bodies with this in place of each of their values in turn."""
    for envelope in (
        *({**good(), name: value} for name in ("code", "message", "data", "unknown")),
        good() | {"data": {"payment_token": value}},
        *(
            good(**{name: value})
            for name in ("token", "token_type", "state", "default", "error_code", "error_msg", "credit_card", "unknown")
        ),
        *(good(credit_card={name: value}) for name in ("number", "exp_year", "holder_name", "unknown")),
    ):
        yield written(envelope).encode("utf-8", "surrogatepass")


def short(raw: Raw) -> str:
    # xdist needs ids without what looks like an address in memory.
    return f"{len(raw.text)} characters, {ascii(raw.text[:20]).replace('0x', '0-x')}"


@pytest.mark.parametrize("value", RAW, ids=short)
def test_a_malicious_value_is_read_right_or_rejected_in_every_place(value: Raw) -> None:
    for body in everywhere(value):
        judge(outcome_of(body), body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
def test_a_number_that_python_cannot_hold_is_rejected_in_every_place(number: str) -> None:
    assert all(isinstance(outcome_of(body), InvalidResponseError) for body in everywhere(Raw(number)))


@pytest.mark.parametrize(
    "body",
    [
        *(written(good(state=Twice("pending", state))) for state in ("success", "pending")),
        written(good() | {"code": Twice(0, 0)}),
        written(good() | {"code": Twice(500, 0)}),
        written(good() | {"data": Twice({}, good()["data"])}),
        written(good(credit_card={"number": Twice("1", "2")})),
        written(good(unknown=[{"name": Twice(1, 2)}])),
        written(good()).replace('"state"', '"st\\u0061te":"pending","state"'),
    ],
    ids=["two states", "one state twice", "one code twice", "two codes", "two data", "two numbers", "deep", "escaped"],
)
def test_a_response_with_duplicate_names_is_rejected(body: str) -> None:
    assert isinstance(outcome_of(body.encode()), InvalidResponseError)


CONTAINERS: dict[str, Callable[[int], Raw]] = {
    "lists in lists": lambda count: nested("[", "]", count),
    "objects in objects": lambda count: Raw('{"":' * (count - 1) + "{}" + "}" * (count - 1)),
    "lists side by side": lambda count: Raw(f"[{','.join(['[]'] * (count - 1))}]"),
    "brackets in a text": lambda count: Raw(f'"{"[" * count}"'),
}


@pytest.mark.parametrize(
    ("count", "is_read"), [(1, True), (46, True), (47, False), (900, False), (10_000, False), (MIB // 16, False)]
)
@pytest.mark.parametrize("containers", CONTAINERS)
def test_a_body_with_more_than_50_containers_is_rejected(containers: str, count: int, *, is_read: bool) -> None:
    # The envelope, its data, the token and its card are four.
    body = written(good(unknown=CONTAINERS[containers](count))).encode()
    assert isinstance(outcome_of(body), PaymentToken if is_read else InvalidResponseError)


@pytest.mark.parametrize("holder", [HOLDER, "應用", "\U0001f600"])
@pytest.mark.parametrize("encoding", OTHER_ENCODINGS)
def test_utf_8_may_have_a_byte_order_mark_and_other_encodings_are_rejected(encoding: str, holder: str) -> None:
    body = written(good(credit_card={"holder_name": holder})).encode(encoding)
    judge(outcome_of(body), body)
    assert isinstance(outcome_of(body), PaymentToken) == (encoding == "utf-8-sig")


NO_JSON = {
    "Latin-1": written(good(credit_card={"holder_name": "Zoë"})).encode("latin-1"),
    "Big5": written(good(credit_card={"holder_name": "陳大文"})).encode("big5"),
    "a raw surrogate": written(good(credit_card={"holder_name": "\ud800"})).encode("utf-8", "surrogatepass"),
    "half a surrogate pair": written(good()).encode("utf-16-le").replace(b"S\x00", b"\x00\xd8", 1),
    "an overlong form": written(good()).encode().replace(b"SAM", b"\xc1\x93AM"),
    "not UTF-8": written(good()).encode().replace(b"SAM", b"S\xff\xfeM"),
    "UTF-7": written(good()).encode("utf-7").replace(b"{", b"+AHs-"),
    "EBCDIC": written(good()).encode("cp500"),
    "two byte order marks": b"\xef\xbb\xbf" * 2 + written(good()).encode(),
    "NUL before": b"\x00" + written(good()).encode(),
    "NUL after": written(good()).encode() + b"\x00",
    "a bracket too many": written(good()).encode() + b"}",
    "a prefix": b")]}',\n" + written(good()).encode(),
    "two texts": (written(good()) * 2).encode(),
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_bytes_that_are_not_one_json_text_are_rejected(body: bytes) -> None:
    assert isinstance(outcome_of(body), InvalidResponseError)


@pytest.mark.parametrize(
    "content_type", ["text/html", "application/json; charset=utf-16", "application/json; charset=\xff", "", "a/b/c;=;"]
)
def test_the_content_type_changes_nothing(content_type: str) -> None:
    body = written(good(credit_card={"holder_name": "Zoë 應用"})).encode()
    assert isinstance(outcome_of(body, Content_Type=content_type), PaymentToken)
    judge(outcome_of(body, Content_Type=content_type), body)


# What they cost


@contextmanager
def cheap() -> Iterator[None]:
    """Fail if more than 50 MB of memory or 3 s of CPU time are used: a tenth of both is enough, without the tracing."""
    tracemalloc.start()
    before, began = tracemalloc.get_traced_memory()[0], time.thread_time()
    try:
        yield
        seconds, peak = time.thread_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - before < 50e6
    assert seconds < 3


def shown(outcome: PaymentToken | WonderError) -> str:
    return repr(outcome) + str(outcome)


def filled(piece: str, *, around: str = "[]", numbered: bool = False) -> bytes:
    """Return a good body of exactly 1 MiB that contains this piece again and again."""
    start, end = written(good(unknown=Raw("@"))).split("@")
    room = MIB - len((start + end + around).encode())
    count = room // (len((piece % 0 if numbered else piece).encode()) + 1)
    pieces = (piece % number if numbered else piece for number in range(count))
    body = (start + around[0] + ",".join(pieces) + around[1] + end).encode()
    return body + b" " * (MIB - len(body))


FULL: dict[str, Callable[[], bytes]] = {
    "empty lists": lambda: filled("[]"),
    "objects": lambda: filled('{"":0}'),
    "open brackets": lambda: b"[" * MIB,
    "one object": lambda: filled('"%06x":0', around="{}", numbered=True),
    "one object with names beyond Latin": lambda: filled('"%05x應":0', around="{}", numbered=True),
    "short texts": lambda: filled('"應"'),
    "numbers": lambda: filled("1e9"),
    "long numbers": lambda: filled("9" * 4000),
    "one text with an emoji": lambda: filled('"' + "a" * (MIB - 1000) + '\U0001f600"'),
    "escapes": lambda: filled('"' + r"\ud83d\ude00" * 1000 + '"'),
    "texts that are almost secrets": lambda: filled('"' + "a" * 31 + '"'),
}


@pytest.mark.parametrize("content", FULL)
def test_a_mebibyte_of_anything_is_cheap(content: str) -> None:
    body = FULL[content]()
    assert len(body) == MIB
    with cheap():
        shown(outcome_of(body))


@pytest.mark.parametrize(
    "piece", ["a" * 31 + " ", "12345678901 x", "1 2 3 4 5 6 7 8 9 0 ", "a", "4111 ", "\u200b", " a"], ids=ascii
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_mebibyte_of_an_error_message_is_cut_and_cheap(piece: str, status: int) -> None:
    message = piece * ((MIB - 100) // len(piece.encode()))
    body = json.dumps({"code": 500, "message": message}, ensure_ascii=False).encode()
    with cheap():
        outcome = outcome_of(body, status)
        assert isinstance(outcome, ServerError)
        assert len(shown(outcome)) < 2000


@pytest.mark.parametrize("field", ["state", "token_type", "error_code", "error_msg"])
def test_a_mebibyte_in_a_field_is_shown_short_and_cheap(field: str) -> None:
    body = written(good(**{field: ("a" * 31 + " ") * 32_000})).encode()
    with cheap():
        outcome = outcome_of(body)
        assert isinstance(outcome, PaymentToken)
        assert len(shown(outcome)) < 5000


# A gzip member of 1 MiB expands to 1 GiB, and there are 100 of them.
GZIP = zlib.compress(b"a" * MIB, wbits=31) * (MIB // 1100)
LENGTH = f"Content-Length: {100 * MIB}"
HUGE: dict[str, tuple[str, list[bytes]]] = {
    "a length": (LENGTH, [b"a" * MIB] * 100),
    "no length": ("Connection: close", [written(good()).encode(), *[b" " * MIB] * 100]),
    "chunks": ("Transfer-Encoding: chunked", [b"%x\r\n%b\r\n" % (MIB, b"a" * MIB)] * 100),
    "one chunk": ("Transfer-Encoding: chunked", [b"%x\r\n" % (100 * MIB), *[b"a" * MIB] * 100]),
    "a gzip bomb": (f"Content-Encoding: gzip\r\n{LENGTH}", [GZIP] * 100),
    "a gzip bomb of no length": ("Content-Encoding: gzip\r\nConnection: close", [GZIP] * 100),
    "a deflate bomb": (f"Content-Encoding: deflate\r\n{LENGTH}", [b"a" * MIB] * 100),
}


@pytest.mark.parametrize(("status", "kind"), [("200 OK", InvalidResponseError), ("502 Bad Gateway", ServerError)])
@pytest.mark.parametrize("body", HUGE)
@pytest.mark.parametrize("client", TRANSPORTS)
def test_a_response_of_100_mib_is_not_read_to_its_end(
    client: str, body: str, status: str, kind: type[WonderError]
) -> None:
    headers, pieces = HUGE[body]
    sent = 0

    def send(connection: socket.socket) -> None:
        nonlocal sent
        with connection.makefile("rb") as stream:
            read_request(stream)
        with suppress(OSError):
            connection.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode())
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)

    settings = {"app_id": "app", "private_key": key(), "environment": None, "timeout": 60.0}
    settings |= {"transport": "fast"} if client.endswith("fast") else {}
    with a_server(send, None) as port, cheap(), pytest.raises(kind):
        Caller(client.startswith("async"), settings).check(base_url=f"http://127.0.0.1:{port}")
    # The sockets' own buffers hold some.
    assert sent < 20 * MIB
