"""Answers that are wrong, huge or bombs: a right PaymentToken or a typed error, in little memory and time."""

import asyncio
import bz2
import gzip
import json
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Self

import attrs
import httpx
import pytest
from conftest import Kind, for_both_clients, key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from faults.answers import HOLDER, OTHER_ENCODINGS, RAW, TOKEN, Raw, Twice, bodies, good, judge, nested, written
from hypothesis import given, settings
from hypothesis import strategies as st
from wonder_payment import (
    InvalidResponseError,
    PaymentToken,
    RetryPolicy,
    ServerError,
    WonderClient,
    WonderError,
)

MIB = 1024 * 1024

# The same examples on every machine, and none kept in a folder.
stable = settings(derandomize=True, database=None, deadline=None, max_examples=300)


def outcome(kind: Kind, **options: Any) -> PaymentToken | WonderError:
    """Return what a check's caller gets, be it raised; any other exception gets out."""
    client = kind("app", key(), retry=RetryPolicy.never(), **options)
    try:
        if isinstance(client, WonderClient):
            with client:
                return client.check_token(TOKEN)

        async def check() -> PaymentToken:
            async with client:
                return await client.check_token(TOKEN)

        return asyncio.run(check())
    except WonderError as error:
        return error


def outcome_of(kind: Kind, body: bytes, status: int = 200, **headers: str) -> PaymentToken | WonderError:
    requests: list[httpx.Request] = []
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(status, content=body, headers=raw)

    result = outcome(kind, environment="sandbox", transport=httpx.MockTransport(answer))
    assert result.request_id == requests[-1].headers["X-Request-ID"]
    assert len(requests) == 1
    return result


# What it says


@for_both_clients
@stable
@given(body=bodies(), status=st.sampled_from([200] * 8 + [201, 204, 206, 304, 400, 401, 403, 404, 422, 429, 500, 520]))
def test_an_answer_gone_wrong_is_a_right_token_or_a_typed_error(kind: Kind, body: bytes, status: int) -> None:
    judge(outcome_of(kind, body, status), body, status=status)


@for_both_clients
@stable
@given(body=st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_token(kind: Kind, body: bytes) -> None:
    assert isinstance(outcome_of(kind, body), InvalidResponseError)


def _everywhere(value: Any) -> Iterator[dict[str, Any]]:
    """Yield good answers with this in the place of each of their values in turn."""
    yield good() | {"code": value}
    yield good() | {"message": value}
    yield good() | {"data": value}
    yield good() | {"unknown": value}
    yield good() | {"data": {"payment_token": value}}
    for name in ("token", "token_type", "state", "default", "error_code", "error_msg", "credit_card", "unknown"):
        yield good(**{name: value})
    for name in ("number", "exp_year", "holder_name", "unknown"):
        yield good(credit_card={name: value})


@for_both_clients
# Ids without what looks like an address in memory.
@pytest.mark.parametrize(
    "value", RAW, ids=lambda raw: f"{len(raw.text)} characters, {ascii(raw.text[:20]).replace('0x', '0-x')}"
)
def test_a_nasty_value_in_any_place_is_read_right_or_refused(kind: Kind, value: Raw) -> None:
    for document in _everywhere(value):
        body = written(document).encode("utf-8", "surrogatepass")
        judge(outcome_of(kind, body), body)


@for_both_clients
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
)
def test_an_answer_that_says_a_thing_twice_is_refused(kind: Kind, body: str) -> None:
    assert isinstance(outcome_of(kind, body.encode()), InvalidResponseError)


@for_both_clients
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
def test_a_number_that_is_none_is_refused_wherever_it_stands(kind: Kind, number: str) -> None:
    for document in _everywhere(Raw(number)):
        assert isinstance(outcome_of(kind, written(document).encode()), InvalidResponseError)


@for_both_clients
@pytest.mark.parametrize(
    ("depth", "is_read"), [(1, True), (46, True), (47, True), (48, False), (900, False), (10_000, False)]
)
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_an_answer_is_read_to_a_depth_of_50_and_no_further(
    kind: Kind, brackets: str, depth: int, *, is_read: bool
) -> None:
    # It stands in the token, which is in the data, which is in the envelope.
    value = nested("[", "]", depth) if brackets == "[]" else Raw('{"":' * (depth - 1) + "{}" + "}" * (depth - 1))
    result = outcome_of(kind, written(good(unknown=value)).encode())
    assert isinstance(result, PaymentToken if is_read else InvalidResponseError)


@for_both_clients
@pytest.mark.parametrize("encoding", OTHER_ENCODINGS)
@pytest.mark.parametrize("holder", [HOLDER, "應用", "\U0001f600"])
def test_another_encoding_is_read_right_or_refused(kind: Kind, encoding: str, holder: str) -> None:
    body = written(good(credit_card={"holder_name": holder})).encode(encoding)
    judge(outcome_of(kind, body), body)


@for_both_clients
@pytest.mark.parametrize(
    "body",
    [
        written(good(credit_card={"holder_name": "Zoë"})).encode("latin-1"),
        written(good(credit_card={"holder_name": "陳大文"})).encode("big5"),
        written(good(credit_card={"holder_name": "\ud800"})).encode("utf-8", "surrogatepass"),
        written(good()).encode("utf-16-le").replace(b"S\x00", b"\x00\xd8", 1),
        written(good()).encode().replace(b"SAM", b"\xc1\x93AM"),
        written(good()).encode().replace(b"SAM", b"S\xff\xfeM"),
        written(good()).encode("utf-7").replace(b"{", b"+AHs-"),
        written(good()).encode("cp500"),
        b"\xef\xbb\xbf" * 2 + written(good()).encode(),
        b"\x00" + written(good()).encode(),
        written(good()).encode() + b"\x00",
        written(good()).encode() + b"}",
        b")]}',\n" + written(good()).encode(),
        (written(good()) * 2).encode(),
    ],
    ids=[
        *("Latin-1", "Big5", "a raw surrogate", "half a surrogate pair", "an overlong form", "no UTF-8", "UTF-7"),
        *("EBCDIC", "two byte order marks", "NUL before", "NUL after", "a bracket too many", "a prefix", "twice"),
    ],
)
def test_bytes_that_are_no_json_text_are_refused(kind: Kind, body: bytes) -> None:
    assert isinstance(outcome_of(kind, body), InvalidResponseError)


@for_both_clients
@pytest.mark.parametrize(
    "content_type", ["text/html", "application/json; charset=utf-16", "application/json; charset=\xff", "", "a/b/c;=;"]
)
def test_the_content_type_changes_nothing(kind: Kind, content_type: str) -> None:
    body = written(good(credit_card={"holder_name": "Zoë 應用"})).encode()
    result = outcome_of(kind, body, Content_Type=content_type)
    assert isinstance(result, PaymentToken)
    judge(result, body)


COMPRESSED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: body,
    "zstd": lambda body: body,
    "compress": bz2.compress,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "identity, gzip": gzip.compress,
    "nonsense": lambda body: body,
}


@for_both_clients
@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_compressed_answer_is_refused_unread_or_read_right(kind: Kind, encoding: str) -> None:
    body = COMPRESSED[encoding](written(good()).encode())
    assert isinstance(outcome_of(kind, body, Content_Encoding=encoding), InvalidResponseError)
    assert isinstance(outcome_of(kind, body, 502, Content_Encoding=encoding), ServerError)


# What it costs

# Reads what to ask from stdin, and checks it in a process of its own, forked off so that nothing is imported anew.
# After a check that warms it up, it tells what the caller gets, by how many bytes the most memory in use grew, and the
# seconds of processor time that it took.
COST = """
import asyncio, json, os, sys, time
import httpx
from wonder_payment import *


def most():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def spent(asked, body):
    client = {"WonderClient": WonderClient, "AsyncWonderClient": AsyncWonderClient}[asked["kind"]]

    def ask(**options):
        wonder = client("app", asked["key"], retry=RetryPolicy.never(), **options)
        try:
            check = wonder.check_token(asked["token"])
            return check if isinstance(check, PaymentToken) else asyncio.run(check)
        except WonderError as error:
            return error

    def answer(content):
        transport = httpx.MockTransport(lambda _request: httpx.Response(asked["status"], content=content))
        return {"environment": "sandbox", "transport": transport}

    repr(ask(**answer(asked["good"].encode())))
    options = {"environment": None, "base_url": asked["base_url"]} if asked["base_url"] else answer(body)
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # the most is now what is in use
    before, began = most(), time.process_time()
    outcome = ask(**options)
    shown = repr(outcome) + str(outcome)
    return [type(outcome).__name__, shown, most() - before, time.process_time() - began]


while line := sys.stdin.buffer.readline():
    asked = json.loads(line)
    body = sys.stdin.buffer.read(asked["size"])
    if os.fork() == 0:
        os.write(1, json.dumps(spent(asked, body)).encode() + b"\\n")
        os._exit(0)
    os.wait()
"""


@attrs.frozen
class Cost:
    outcome: str
    shown: str
    grown: int
    took: float


Spend = Callable[..., Cost]


@pytest.fixture(scope="module")
def cost() -> Iterator[Spend]:
    """What a check costs, by the body of its answer, or by who gives it."""
    if sys.platform != "linux":
        pytest.skip("the most memory in use is read from /proc")
    pem = key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def spend(kind: Kind, body: bytes = b"", *, base_url: str | None = None, status: int = 200) -> Cost:
        asked = {"kind": kind.__name__, "token": TOKEN, "key": pem, "good": written(good())}
        asked |= {"base_url": base_url, "status": status, "size": len(body)}
        requests.write(json.dumps(asked).encode() + b"\n" + body)
        requests.flush()
        return Cost(*json.loads(results.readline()))

    with subprocess.Popen([sys.executable, "-c", COST], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        requests, results = process.stdin, process.stdout
        yield spend


def filled(piece: str, *, around: tuple[str, str] = ("[", "]"), numbered: bool = False) -> bytes:
    """Return a good answer of just 1 MiB, with this piece in it over and over."""
    start, end = written(good(unknown=Raw("@"))).split("@")
    room = MIB - len((start + end + "".join(around)).encode())
    count = room // (len((piece % 0 if numbered else piece).encode()) + 1)
    text = ",".join(piece % number if numbered else piece for number in range(count))
    body = (start + around[0] + text + around[1] + end).encode()
    return body + b" " * (MIB - len(body))


DEEP = 46
FULL = {
    "empty lists": lambda: filled("[]"),
    "empty objects": lambda: filled("{}"),
    "lists of one": lambda: filled("[0]"),
    "lists nested to the limit": lambda: filled("[" * DEEP + "]" * DEEP),
    "objects nested to the limit": lambda: filled('{"":' * (DEEP - 1) + "{}" + "}" * (DEEP - 1)),
    "objects of one": lambda: filled('{"":0}'),
    "one object": lambda: filled('"%06x":0', around=("{", "}"), numbered=True),
    "one object with names beyond Latin": lambda: filled('"%05x應":0', around=("{", "}"), numbered=True),
    "short texts": lambda: filled('"應"'),
    "numbers": lambda: filled("1e9"),
    "long numbers": lambda: filled("9" * 4000),
    "one text with an emoji": lambda: filled('"' + "a" * (MIB - 1000) + '\U0001f600"'),
    "escapes": lambda: filled('"' + r"\ud83d\ude00" * 1000 + '"'),
    "all but secrets": lambda: filled('"' + "a" * 31 + '"'),
}


@pytest.mark.parametrize("content", FULL)
def test_a_mebibyte_of_anything_costs_less_than_50_mb_and_a_second(cost: Spend, content: str) -> None:
    body = FULL[content]()
    assert len(body) == MIB
    # Both clients have one parser: the other's cost is the same.
    spent = cost(WonderClient, body)
    assert spent.outcome in ("PaymentToken", "InvalidResponseError")
    assert spent.grown < 50e6
    assert spent.took < 1


@pytest.mark.parametrize(
    "piece", ["a" * 31 + " ", "12345678901 x", "1 2 3 4 5 6 7 8 9 0 ", "a", "4111 ", "\u200b", " a"]
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_mebibyte_of_an_error_message_is_cut_in_little_time(cost: Spend, piece: str, status: int) -> None:
    message = piece * ((MIB - 100) // len(piece.encode()))
    body = json.dumps({"code": 500, "message": message}, ensure_ascii=False).encode()
    spent = cost(WonderClient, body, status=status)
    assert spent.outcome == "ServerError"
    assert len(spent.shown) < 2000
    assert spent.grown < 50e6
    assert spent.took < 1


@pytest.mark.parametrize("field", ["state", "token_type", "error_code", "error_msg"])
def test_a_mebibyte_in_a_field_is_shown_in_little_time(cost: Spend, field: str) -> None:
    text = ("a" * 31 + " ") * 32_000
    spent = cost(WonderClient, written(good(**{field: text})).encode())
    assert spent.outcome == "PaymentToken"
    assert len(spent.shown) < 5000
    assert spent.grown < 50e6
    assert spent.took < 1


class Server:
    """Answers every request with the same, as often as there is somebody to take it, and counts what was taken."""

    def __init__(self, head: str, pieces: list[bytes]) -> None:
        self._head, self._pieces = head, pieces
        self.sent: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # Closing alone would not wake up who waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                sent = 0
                with suppress(OSError):
                    request = b""
                    while b"payment_token" not in request.partition(b"\r\n\r\n")[2]:
                        request += connection.recv(65536)
                    connection.sendall(self._head.encode())
                    for piece in self._pieces:
                        connection.sendall(piece)
                        sent += len(piece)
                self.sent.append(sent)


PIECES = [b"a" * MIB] * 100
CHUNKS = [b"%x\r\n%b\r\n" % (MIB, b"a" * MIB)] * 100 + [b"0\r\n\r\n"]
ONE_CHUNK = [b"%x\r\n" % (100 * MIB), *PIECES, b"\r\n0\r\n\r\n"]
JSON = [(written(good()) + " " * MIB).encode(), *PIECES]
# A gzip member of 1 MiB holds 1 GiB, and there are 100 of them.
GZIP = [zlib.compress(b"a" * MIB, wbits=31) * (MIB // 1100)] * 100

HUGE = {
    "its length told": (f"Content-Length: {100 * MIB}", PIECES),
    "its length untold": ("Connection: close", PIECES),
    "good JSON at its beginning": ("Connection: close", JSON),
    "in chunks": ("Transfer-Encoding: chunked", CHUNKS),
    "in one chunk": ("Transfer-Encoding: chunked", ONE_CHUNK),
    "a gzip bomb": ("Content-Encoding: gzip", GZIP),
    "a gzip bomb in chunks": ("Content-Encoding: gzip\r\nTransfer-Encoding: chunked", CHUNKS),
    "a deflate bomb": ("Content-Encoding: deflate", PIECES),
    "a brotli bomb": ("Content-Encoding: br", PIECES),
}


def refuses_without_reading_it_all(cost: Spend, kind: Kind, head: str, pieces: list[bytes], refusal: str) -> None:
    with Server(f"{head}\r\n\r\n", pieces) as server:
        spent = cost(kind, base_url=server.base_url)
    assert spent.outcome == refusal
    assert spent.grown < 50e6
    assert spent.took < 1
    # The sockets' own buffers hold some.
    assert max(server.sent) < 20 * MIB


@for_both_clients
@pytest.mark.parametrize("answer", HUGE)
def test_an_answer_of_100_mb_is_refused_without_reading_it_all(cost: Spend, kind: Kind, answer: str) -> None:
    header, pieces = HUGE[answer]
    refuses_without_reading_it_all(cost, kind, f"HTTP/1.1 200 OK\r\n{header}", pieces, "InvalidResponseError")


@for_both_clients
@pytest.mark.parametrize("header", [f"Content-Length: {100 * MIB}", "Connection: close", "Content-Encoding: gzip"])
def test_an_error_of_100_mb_is_that_error_without_reading_it_all(cost: Spend, kind: Kind, header: str) -> None:
    refuses_without_reading_it_all(cost, kind, f"HTTP/1.1 502 Bad Gateway\r\n{header}", PIECES, "ServerError")


@for_both_clients
@pytest.mark.parametrize("size", [MIB, MIB + 1])
@pytest.mark.parametrize("how", ["its length told", "its length untold", "in chunks"])
def test_an_answer_of_a_mebibyte_is_read_and_one_of_a_byte_more_is_not(kind: Kind, how: str, size: int) -> None:
    body = written(good()).encode()
    body += b" " * (size - len(body))
    header = HUGE[how][0].replace(str(100 * MIB), str(size))
    pieces = [b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)] if how == "in chunks" else [body]
    with Server(f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n", pieces) as server:
        result = outcome(kind, environment=None, base_url=server.base_url)
    if size == MIB:
        assert isinstance(result, PaymentToken)
        judge(result, body)
    else:
        assert isinstance(result, InvalidResponseError)
        assert "larger than 1 MiB" in str(result)
