"""The private key, in every form that secret stores, variables and files hand out, as an RSA key.

One pipeline: bytes, text on one line, the one private key in it as PEM or DER, the loaded key. No error of the
cryptography library leaves this module, because its text may quote the key.
"""

import base64
import re
from contextlib import suppress
from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from .config import plain_text, require, unquoted
from .errors import ConfigurationError
from .protocols import Signer

_CREATE = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"

# In text without line breaks.
_KEY = re.compile(r"-----BEGIN ((?!OPENSSH )[A-Z0-9 ]*PRIVATE KEY)-----(.*?)-----END \1-----")
_ENCRYPTED = re.compile(r" ?(Proc-Type: ?4,ENCRYPTED) (DEK-Info: ?[A-Z0-9-]+,[0-9A-Fa-f]+) ")

# The start of DER: a sequence with its length.
_SEQUENCE = rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...)"

_PUBLIC = "is a public key: use its private half"
_CERTIFICATE = "is a certificate: use its private key"
_NO_PEM = (
    "is not a PEM: the line `-----BEGIN … PRIVATE KEY-----` is missing. To pass a file, use WONDER_PRIVATE_KEY_FILE or "
    "a pathlib.Path"
)

# What other formats contain, and the fix.
_OTHER_TEXTS = {
    "OPENSSH PRIVATE KEY": "is in the OpenSSH format: convert it with `ssh-keygen -p -m PEM -f FILE`",
    "PuTTY-User-Key-File": "is in the PuTTY format: convert it with `puttygen FILE -O private-openssh -o key.pem`",
    '"kty"': "is a JWK: convert it to a PEM",
    "<RSAKeyValue>": "is an XML key: convert it to a PEM",
    "PRIVATE KEY-----": "cannot be read: the key is damaged, or its end is missing",
    "PUBLIC KEY-----": _PUBLIC,
    "ssh-rsa ": _PUBLIC,
    "ssh-ed25519 ": _PUBLIC,
    "CERTIFICATE": _CERTIFICATE,
    "-----BEGIN ": "is a PEM of another kind, or its end is missing",
}
_OTHER_DER = {
    _SEQUENCE + rb"\x02\x01\x03": "is in the PKCS#12 format: convert it with `openssl pkcs12 -in FILE -nocerts -nodes`",
    _SEQUENCE * 2 + rb"\xa0\x03\x02\x01": _CERTIFICATE,
    # An algorithm, unless it is one that encrypts a private key; or a modulus.
    _SEQUENCE * 2 + rb"\x06.(?!\x2a\x86\x48\x86\xf7\x0d\x01[\x05\x0c])": _PUBLIC,
    _SEQUENCE + rb"\x02[\x81\x82]": _PUBLIC,
}


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
    is_path = issubclass(type(key), Path)
    require(passphrase is None or password is not None, f"{passphrase_name} must be text or bytes", passphrase)
    if issubclass(type(key), RSAPrivateKey):
        return cast("RSAPrivateKey", key)
    or_signer = ", or an object with sign(message)" if name == "private_key=" else ""
    rule = f"{name} must be a private key: text, bytes, a pathlib.Path or an RSAPrivateKey{or_signer}"
    require(is_path or content is not None, rule, key)
    try:
        content = _content_of(cast("Path", key)) if is_path else cast("bytes", content)
        return _rsa(_encoded(content), password or b"", passphrase_name)
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
        raise _Problem(f"cannot be read: {getattr(error, 'strerror', 'not a path')}") from None


def _encoded(content: bytes) -> bytes:
    """Return the one private key in a content, as PEM or DER."""
    if content.startswith(b"0") and not content.isascii():
        return content
    text = _one_line(content)
    keys = _KEY.findall(text)
    if len(keys) > 1:
        raise _Problem(f"has {len(keys)} private keys: keep the one that the vendor knows")
    if keys:
        return _pem(*keys[0])
    for part, problem in _OTHER_TEXTS.items():
        if part in text:
            raise _Problem(problem)
    bare = unquoted(text).replace(" ", "")
    with suppress(ValueError):
        if bare:
            return _encoded(base64.b64decode(bare, validate=True))
    raise _Problem(_NO_PEM)


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


def _rsa(encoded: bytes, password: bytes, passphrase_name: str) -> RSAPrivateKey:
    load = load_der_private_key if encoded.startswith(b"0") else load_pem_private_key
    bare = password.strip(b" \t\r\n\"'")
    # As it is, then without a line end, then without the quotes around it.
    candidates: list[bytes | None] = [password, password.rstrip(b"\r\n"), bare] if bare else [None]
    for candidate in dict.fromkeys(candidates):
        try:
            key = load(encoded, candidate)
        except TypeError:
            required = f"is encrypted: pass its passphrase in {passphrase_name}"
            raise _Problem(f"is not encrypted: omit {passphrase_name}" if bare else required) from None
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, RSAPrivateKey):
            return key
        raise _Problem(f"is {type(key).__name__.removesuffix('PrivateKey')}, not RSA")
    for start, problem in _OTHER_DER.items():
        if re.match(start, encoded, re.DOTALL):
            raise _Problem(problem)
    wrong = f"{passphrase_name} is wrong, or " if bare else ""
    raise _Problem(f"cannot be read: {wrong}the key is damaged")
