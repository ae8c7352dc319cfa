"""What a crash reporter (Sentry and the like) takes of an error, and which secrets are in it.

It takes the local variables of every frame. The frames of the tests' own files are left out: they hold what the caller
has anyway.
"""

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from urllib.parse import quote
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

_TESTS = str(Path(__file__).parent)

SECRET_TOKEN = "5f0e8d2c-9b5d-4b2d-8a66-ab8dfbbd4bed"
SECRET_VERIFY = "a7c41f63-2e8b-4d19-b3f0-6c5d90e2817f"
NUMBER = "4539148803436467"
HOLDER = "ZERLINDE QUUXFORD"
PASSPHRASE = "correct horse battery staple"
CARD = {"number": NUMBER, "exp_month": "12", "exp_year": "2030", "holder_name": HOLDER, "brand": "visa"}


@cache
def pem_of(key: RSAPrivateKey, passphrase: str | None = None) -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@cache
def _secrets_of_key(key: RSAPrivateKey) -> dict[str, str]:
    private = key.private_numbers()
    numbers = {"d": private.d, "p": private.p, "q": private.q, "dmp1": private.dmp1, "iqmp": private.iqmp}
    return {
        "key": "".join(pem_of(key).splitlines()[1:-1]),
        "encrypted key": "".join(pem_of(key, PASSPHRASE).splitlines()[1:-1]),
        **{f"{name} of the key": f"{number}" for name, number in numbers.items()},
        **{f"{name} of the key in hex": f"{number:x}" for name, number in numbers.items()},
    }


def secrets_of(key: RSAPrivateKey, signatures: Iterable[str] = ()) -> dict[str, str]:
    """Return what must not be shown, by its name; long secrets in pieces, because a quote may be cut short."""
    long = _secrets_of_key(key) | {f"signature {i}": signature for i, signature in enumerate(signatures)}
    first, last = HOLDER.split()
    return {
        "token": SECRET_TOKEN,
        "token without dashes": SECRET_TOKEN.replace("-", ""),
        "token percent-encoded": quote(SECRET_TOKEN).replace("-", "%2D"),
        "token as a number": str(UUID(SECRET_TOKEN).int),
        "verify_uuid": SECRET_VERIFY,
        "verify_uuid as a number": str(UUID(SECRET_VERIFY).int),
        "card number": NUMBER,
        "cardholder's first name": first,
        "cardholder's last name": last,
        "passphrase": PASSPHRASE,
        **{f"{name}, piece {i}": piece for name, text in long.items() for i, piece in enumerate(pieces(text))},
    }


def pieces(text: str) -> list[str]:
    return re.findall(".{20}", text)


def leaks(secrets: Mapping[str, str], shown: Iterable[str]) -> dict[str, str]:
    """Return the secrets that are shown, each with the text around it."""
    text = "\n".join(shown).lower()
    # A card number may be grouped.
    digits = re.sub(r"(?<=\d)[ .\-\u00a0]+(?=\d)", "", text)
    found: dict[str, str] = {}
    for name, secret in secrets.items():
        within = digits if secret == NUMBER else text
        if (at := within.find(secret.lower())) >= 0:
            found[name] = within[max(0, at - 100) : at + 100]
    return found


def chain(error: BaseException) -> list[BaseException]:
    """Return the error with all its causes and contexts, also those that a traceback does not print."""
    links: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        link = left.pop()
        if link is not None and not any(link is known for known in links):
            links.append(link)
            left += [link.__cause__, link.__context__]
    return links


def frames(error: BaseException) -> list[FrameType]:
    """Return all frames of an error and of its chain but for those of the tests."""
    all_frames = [frame for link in chain(error) for frame, _ in traceback.walk_tb(link.__traceback__)]
    return [frame for frame in all_frames if not frame.f_code.co_filename.startswith(_TESTS)]


def crash_report(error: BaseException, *, attributes: bool = True) -> Iterator[str]:
    """Yield what a crash reporter takes of an error and of its chain.

    Args:
        error: The error.
        attributes: Whether it also takes the attributes of the local variables.
    """
    yield "".join(traceback.format_exception(error))
    for link in chain(error):
        yield f"{link!r} {link} {vars(link)!r} {link.args!r}"
    for frame in frames(error):
        yield from traceback.StackSummary.extract(iter([(frame, frame.f_lineno)]), capture_locals=True).format()
        for value in frame.f_locals.values():
            yield from map(_safe_repr, [value, *_items(value)])
            if attributes:
                yield from map(_safe_repr, getattr(value, "__dict__", {}).values())


def _items(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return [*value] if isinstance(value, list | tuple | set | frozenset) else []


def _safe_repr(thing: object) -> str:
    try:
        return repr(thing)
    except Exception as error:  # noqa: BLE001 (a crash reporter goes on, too)
        return f"{type(thing)} {error}"
