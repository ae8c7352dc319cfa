"""The private key, in every form that secret stores, variables and files hand out, as an RSA key.

One pipeline: bytes, text on one line, the one private key in it as PEM or DER, the loaded key. No error of the
cryptography library leaves this module, because its text may quote the key.
"""

import base64
import re
from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

from .config import plain_text, unquoted
from .errors import ConfigurationError
from .protocols import Signer

_CREATE = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"

# In text without line breaks.
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----")
_ENCRYPTED = re.compile(r" ?(Proc-Type: ?4,ENCRYPTED) (DEK-Info: ?[A-Z0-9-]+,[0-9A-Fa-f]+) ")

# The start of DER: a sequence with its length.
_SEQUENCE = rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...)"

_PUBLIC = "is a public key: use its private half"
_CERTIFICATE = "is a certificate: use its private key"
_PKCS12 = "is in the PKCS#12 format: convert it with `openssl pkcs12 -in FILE -nocerts -nodes`"
_OPENSSH = "is in the OpenSSH format: convert it with `ssh-keygen -p -m PEM -f FILE`"

# What other formats contain, and the fix.
_OTHER_LABELS = {"PUBLIC KEY": _PUBLIC, "CERTIFICATE": _CERTIFICATE, "OPENSSH PRIVATE KEY": _OPENSSH}
_OTHER_TEXTS = {
    "PuTTY-User-Key-File": "is in the PuTTY format: convert it with `puttygen FILE -O private-openssh -o key.pem`",
    '"kty"': "is a JWK: convert it to a PEM",
    "<RSAKeyValue>": "is an XML key: convert it to a PEM",
    "ssh-rsa ": _PUBLIC,
    "ssh-ed25519 ": _PUBLIC,
    "-----BEGIN ": "cannot be read: the key is damaged, or its end is missing",
}
_OTHER_DER = {_SEQUENCE + rb"\x02\x01\x03": _PKCS12, _SEQUENCE * 2 + rb"\xa0\x03\x02\x01": _CERTIFICATE}


def key_or_signer(key: object, passphrase: object = None) -> RSAPrivateKey | Signer:
    """Return a signer as it is, and any other key loaded.

    Raises:
        ConfigurationError: It is neither.
    """
    # The keys of other algorithms have a sign(), too.
    is_signer = isinstance(key, Signer) and not isinstance(key, RSAPrivateKey | type)
    if is_signer and not type(key).__module__.startswith("cryptography."):
        return cast("Signer", key)
    return loaded_key(key, passphrase)


class _Problem(Exception):  # noqa: N818 (it never leaves this module)
    """What is wrong with a key, in words that follow its name."""


def loaded_key(
    key: object, passphrase: object = None, *, names: tuple[str, str] = ("private_key=", "passphrase=")
) -> RSAPrivateKey:
    """Return the RSA private key in any of its forms.

    Args:
        key: Text or bytes, the path of a file, or the key itself, which is returned as it is.
        passphrase: The passphrase of an encrypted key.
        names: Where the key and the passphrase come from, for the message.

    Raises:
        ConfigurationError: It is not an RSA private key. The message says what it is, and quotes nothing of it.
    """
    name, passphrase_name = names
    content, password = _bytes(key), _bytes(passphrase)
    if passphrase is not None and password is None:
        raise ConfigurationError(
            f"{passphrase_name} must be text or bytes, not {type(passphrase).__name__}.", attempts=0
        )
    if issubclass(type(key), RSAPrivateKey):
        return cast("RSAPrivateKey", key)
    is_path = issubclass(type(key), Path)
    if content is None and not is_path:
        expected = "a private key: text, bytes, a pathlib.Path or an RSAPrivateKey"
        if name == "private_key=":
            expected += ", or an object with sign(message)"
        raise ConfigurationError(f"{name} must be {expected}, not {type(key).__name__}.", attempts=0)
    try:
        content = _content_of(cast("Path", key)) if is_path else cast("bytes", content)
        return _rsa(_encoded(content), password, passphrase_name)
    except _Problem as problem:
        text = str(problem)
    raise ConfigurationError(f"{name} {text}. Expected an RSA private key. Create one with `{_CREATE}`.", attempts=0)


def _bytes(value: object) -> bytes | None:
    text = plain_text(value)
    if text is not None:
        return text.encode(errors="replace")
    return cast("bytes", value) if issubclass(type(value), bytes) else None


def _content_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
    raise _Problem(f"cannot be read: {reason}")


def _encoded(content: bytes) -> bytes:
    """Return the one private key in a content, as PEM or DER."""
    if content.startswith(b"0") and not content.isascii():
        return content
    text = _one_line(content)
    blocks = [(str(label), str(body)) for label, body in _BLOCK.findall(text)]
    keys = [block for block in blocks if block[0].endswith("PRIVATE KEY")]
    if len(keys) > 1:
        raise _Problem(f"has {len(keys)} private keys: keep the one that the vendor knows")
    for label, _body in keys or blocks:
        for part, problem in _OTHER_LABELS.items():
            if part in label:
                raise _Problem(problem)
    if keys:
        return _pem(*keys[0])
    if blocks:
        raise _Problem("is a PEM of another kind")
    for part, problem in _OTHER_TEXTS.items():
        if part in text:
            raise _Problem(problem)
    return _from_base64(text)


def _one_line(content: bytes) -> str:
    r"""Return a content as one line of ASCII: without byte order marks, UTF-16's zeros, and escapes such as ``\n``."""
    text = content.replace(b"\0", b"").decode("ascii", "ignore")
    return re.sub(r"(\\+[nrt]|\s)+", " ", text).replace("\\", "")


def _pem(label: str, body: str) -> bytes:
    """Return a PEM with the line breaks that its parsers require."""
    encrypted = _ENCRYPTED.match(body)
    headers = [encrypted[1], encrypted[2], ""] if encrypted else []
    base64_lines = re.findall(".{1,64}", body[encrypted.end() if encrypted else 0 :].replace(" ", ""))
    return "\n".join([f"-----BEGIN {label}-----", *headers, *base64_lines, f"-----END {label}-----", ""]).encode()


def _from_base64(text: str) -> bytes:
    """Return the key of which a text is the base64, or the base64 of its base64."""
    try:
        content = base64.b64decode(unquoted(text).replace(" ", ""), validate=True)
    except ValueError:
        content = b""
    if not content:
        raise _Problem(
            "is not a PEM: the line `-----BEGIN … PRIVATE KEY-----` is missing. "
            "To pass a file, use WONDER_PRIVATE_KEY_FILE or a pathlib.Path"
        )
    return _encoded(content)


def _rsa(encoded: bytes, password: bytes | None, passphrase_name: str) -> RSAPrivateKey:
    is_der = encoded.startswith(b"0")
    load = load_der_private_key if is_der else load_pem_private_key
    key, problem = None, ""
    for candidate in _passwords(password):
        try:
            key = load(encoded, candidate)
            break
        except TypeError:
            required = f"is encrypted: pass its passphrase in {passphrase_name}"
            problem = f"is not encrypted: omit {passphrase_name}" if candidate else required
            break
        except (ValueError, UnsupportedAlgorithm):
            wrong = f"{passphrase_name} is wrong, or " if candidate else ""
            problem = (is_der and _other_der(encoded)) or f"cannot be read: {wrong}the key is damaged"
    if key is None:
        raise _Problem(problem)
    if not isinstance(key, RSAPrivateKey):
        raise _Problem(f"is {type(key).__name__.removesuffix('PrivateKey')}, not RSA")
    return key


def _passwords(password: bytes | None) -> list[bytes | None]:
    r"""Return what to try: the passphrase, then without a line end, then without the quotes around it."""
    bare = unquoted((password or b"").decode("latin-1")).encode("latin-1")
    if not password or not bare:
        return [None]
    return list(dict.fromkeys([password, password.rstrip(b"\r\n"), bare]))


def _other_der(encoded: bytes) -> str | None:
    for start, problem in _OTHER_DER.items():
        if re.match(start, encoded, re.DOTALL):
            return problem
    try:
        load_der_public_key(encoded)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return _PUBLIC
