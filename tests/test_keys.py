"""Every form in which secret stores, variables and files hand out a key: a table, and each form in each place."""

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOKEN, key
from crashes import crash_report
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from wonder_payment import AuthenticationError, ConfigurationError, WonderClient
from wonder_payment.signing import verify_request

PKCS1, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8
PASSPHRASE = "correct horse"
PUBLIC = key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
CERTIFICATE = PUBLIC.replace("PUBLIC KEY", "CERTIFICATE")


@cache
def pem(form: PrivateFormat, passphrase: str | None) -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key().private_bytes(Encoding.PEM, form, encryption).decode()


def body(text: str) -> str:
    return "".join(text.splitlines()[1:-1])


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


# Of any PEM, encrypted or not.
FORMS: dict[str, Callable[[str], str | bytes]] = {
    "as it is": lambda text: text,
    "bytes": str.encode,
    "no line break at the end": str.strip,
    r"literal \n": lambda text: text.replace("\n", r"\n"),
    r"literal \r\n": lambda text: text.replace("\n", r"\r\n"),
    r"literal \\n": lambda text: text.replace("\n", r"\\n"),
    r"literal \n and line breaks": lambda text: text.replace("\n", "\\n\n"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "one line with spaces": lambda text: text.replace("\n", " "),
    "indented": lambda text: "\n" + text.replace("\n", "\n    "),
    "byte order mark": lambda text: "\ufeff" + text,
    "double quotes": lambda text: f'"{text}"',
    "single quotes": lambda text: f" '{text}'\n",
    r"quotes and literal \n": lambda text: '"' + text.replace("\n", r"\n") + '"',
    "JSON": json.dumps,
    "JSON twice": lambda text: json.dumps(json.dumps(text)),
    "JSON of PHP": lambda text: json.dumps(text).replace("/", r"\/"),
    "a field of JSON": lambda text: json.dumps({"type": "service_account", "private_key": text}),
    "Bag Attributes": lambda text: f"Bag Attributes\n    friendlyName: é\nKey Attributes: <No Attributes>\n{text}",
    "certificate, then the key": lambda text: CERTIFICATE + text,
    "the key, then certificates": lambda text: text + CERTIFICATE * 2,
    "with its public key": lambda text: text + PUBLIC,
    "base64": encoded,
    "base64 in lines": lambda text: base64.encodebytes(text.encode()),
    "base64 in quotes": lambda text: f'"{encoded(text)}"\n',
    "base64 of base64": lambda text: encoded(encoded(text)),
    r"base64 of literal \n": lambda text: encoded(text.replace("\n", r"\n")),
    "base64 of UTF-16": lambda text: encoded(text.encode("utf-16")),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big-endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a byte order mark": lambda text: text.encode("utf-16-le"),
    "UTF-8 with a byte order mark": lambda text: text.encode("utf-8-sig"),
}
KEYS: dict[str, tuple[PrivateFormat, str | None]] = {
    "PKCS#1": (PKCS1, None),
    "PKCS#8": (PKCS8, None),
    "PKCS#1, encrypted": (PKCS1, PASSPHRASE),
    "PKCS#8, encrypted": (PKCS8, PASSPHRASE),
}
# DER has no headers, which encrypted PKCS#1 needs.
DER_FORMS: dict[str, Callable[[str], str | bytes]] = {
    "DER": lambda text: base64.b64decode(body(text)),
    "base64 of DER": body,
    "base64 of DER in lines": lambda text: "\n".join(text.splitlines()[1:-1]) + "\n",
    "base64 of DER in quotes": lambda text: f'"{body(text)}"',
    "base64 of base64 of DER": lambda text: encoded(body(text)),
    r"base64 of DER, literal \n": lambda text: r"\n".join(text.splitlines()[1:-1]),
}
CASES = [
    *((form, kind) for form in FORMS for kind in KEYS),
    *((form, kind) for form in DER_FORMS for kind in KEYS if kind != "PKCS#1, encrypted"),
]


def client(place: str, content: str | bytes, passphrase: str | None, folder: Path, **settings: Any) -> WonderClient:
    """Return a client whose key comes from an argument, a variable or a file."""
    file = folder / "key"
    raw = content.encode() if isinstance(content, str) else content
    file.write_bytes(raw)
    if place in ("argument", "path"):
        given: Any = content if place == "argument" else file
        return WonderClient("app", given, passphrase=passphrase, base_url="https://gateway.example", **settings)
    variables = {"WONDER_APP_ID": "app", "WONDER_ENVIRONMENT": "sandbox"}
    variables["WONDER_PRIVATE_KEY_PASSPHRASE"] = passphrase or ""
    if place == "variable":
        variables["WONDER_PRIVATE_KEY"] = raw.decode(errors="replace")
    else:
        variables["WONDER_PRIVATE_KEY_FILE"] = f'"{file}"'
    return WonderClient.from_env(variables, **settings)


def check_that_it_signs(place: str, content: str | bytes, passphrase: str | None, folder: Path) -> None:
    """Fail if a client with this key does not sign with the key of the tests."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(401)

    with pytest.raises(AuthenticationError):
        client(place, content, passphrase, folder, transport=httpx.MockTransport(respond)).check_token(TOKEN)
    (request,) = requests
    uri = request.url.raw_path.decode()
    headers, body = request.headers, request.content
    verify_request(key().public_key(), method=request.method, uri=uri, headers=headers, body=body)


@pytest.mark.parametrize("place", ["argument", "variable", "path", "file"])
@pytest.mark.parametrize(("form", "kind"), CASES, ids=lambda value: value)
def test_a_key_loads_in_every_form_from_every_place(form: str, kind: str, place: str, tmp_path: Path) -> None:
    content = (FORMS | DER_FORMS)[form](pem(*KEYS[kind]))
    if place == "variable" and isinstance(content, bytes) and (b"\0" in content or not _is_text(content)):
        pytest.skip("no variable can have these bytes")
    check_that_it_signs(place, content, KEYS[kind][1], tmp_path)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("form", [PKCS1, PKCS8], ids=["PKCS#1", "PKCS#8"])
@pytest.mark.parametrize(
    ("passphrase", "given"),
    [
        *((PASSPHRASE, f"{PASSPHRASE}\n"), (PASSPHRASE, f"{PASSPHRASE}\r\n"), (PASSPHRASE, f'"{PASSPHRASE}"')),
        *(
            (PASSPHRASE, f"'{PASSPHRASE}'\n"),
            (f'"{PASSPHRASE}"', f'"{PASSPHRASE}"'),
            ("ends in space ", "ends in space \n"),
        ),
        *((f"{PASSPHRASE}\n", f"{PASSPHRASE}\n"), (f"{PASSPHRASE}'", f"{PASSPHRASE}'"), ("密碼 é", '"密碼 é"\n')),
        *((None, ""), (None, "\n"), (None, '""')),
    ],
)
@pytest.mark.parametrize("place", ["argument", "variable"])
def test_a_passphrase_is_tried_as_it_is_and_then_without_line_end_and_quotes(
    form: PrivateFormat, passphrase: str | None, given: str, place: str, tmp_path: Path
) -> None:
    check_that_it_signs(place, pem(form, passphrase), given, tmp_path)


NAMES = {
    "argument": "private_key=",
    "path": "private_key=",
    "variable": "WONDER_PRIVATE_KEY",
    "file": "WONDER_PRIVATE_KEY_FILE",
}
WRONG: dict[str, tuple[Callable[[], str], str | None, str]] = {
    "public key": (lambda: PUBLIC, None, "is a public key"),
    "certificate": (lambda: CERTIFICATE, None, "is a certificate"),
    "no key": (lambda: "hunter2hunter2hunter2", None, "is not a PEM"),
    "truncated": (lambda: pem(PKCS8, None)[:800], None, "cannot be read"),
    "superfluous passphrase": (lambda: pem(PKCS8, None), PASSPHRASE, "is not encrypted: omit {}$"),
    "missing passphrase": (lambda: pem(PKCS8, PASSPHRASE), None, "is encrypted: pass its passphrase in {}$"),
    "wrong passphrase": (lambda: pem(PKCS8, PASSPHRASE), "hunter2", "{} is wrong"),
}


@pytest.mark.parametrize("place", NAMES)
@pytest.mark.parametrize(("make", "passphrase", "problem"), WRONG.values(), ids=WRONG)
def test_the_message_names_the_place_of_a_wrong_key_and_quotes_nothing(
    make: Callable[[], str], passphrase: str | None, problem: str, place: str, tmp_path: Path
) -> None:
    content = make()
    with pytest.raises(ConfigurationError) as caught:
        client(place, content, passphrase, tmp_path)
    source = "passphrase=" if NAMES[place].endswith("=") else "WONDER_PRIVATE_KEY_PASSPHRASE"
    assert caught.value.args[0].startswith(f"{NAMES[place]} {problem.format(source).rstrip('$')}") or (
        problem.format(source) in caught.value.args[0]
    )
    shown = "\n".join(crash_report(caught.value))
    assert "hunter2" not in shown
    assert not any(line in shown for line in content.splitlines() if not line.startswith("-----"))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("name", ["missing.pem", "", "\0", "a" * 5000], ids=["missing", "a folder", "NUL", "too long"])
@pytest.mark.parametrize("place", ["private_key=", "WONDER_PRIVATE_KEY_FILE"])
def test_a_key_file_that_cannot_be_read_is_an_error(name: str, place: str, tmp_path: Path) -> None:
    variables = {"WONDER_APP_ID": "app", "WONDER_ENVIRONMENT": "sandbox"}
    variables["WONDER_PRIVATE_KEY_FILE"] = str(tmp_path / name)
    overrides: dict[str, Any] = {"private_key": tmp_path / name} if place == "private_key=" else {}
    with pytest.raises(ConfigurationError, match=rf"^{place} cannot be read: \w") as caught:
        WonderClient.from_env(variables, **overrides)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
