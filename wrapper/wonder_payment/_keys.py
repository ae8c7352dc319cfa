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

# In text without line breaks: the label, the headers of an encrypted PKCS#1 key, and the base64.
_KEY = re.compile(r"-----BEGIN ((?!OPENSSH)[A-Z ]*PRIVATE KEY)-----( ?Proc-Type:.*? DEK-Info: ?\S+ )?(.*?)-----END ")

# A DER sequence is "0", a length and the items. The first item of a public key is a modulus, or the sequence of an
# algorithm. An encrypted private key also starts with an algorithm, but with one of those excluded here.
_LENGTH = r"(?:[\x00-\x80]|\x81.|\x82..|\x83...)"
_PUBLIC = rf"\A0{_LENGTH}(0{_LENGTH}\x06.(?!\x2a\x86\x48\x86\xf7\x0d\x01[\x05\x0c])|\x02[\x81\x82])"

# What other formats contain, and the fix.
_OTHERS = {
    rf"\A0{_LENGTH}\x02\x01\x03": "is in the PKCS#12 format: convert it with `openssl pkcs12 -in FILE -nocerts -nodes`",
    "OPENSSH PRIVATE KEY": "is in the OpenSSH format: convert it with `ssh-keygen -p -m PEM -f FILE`",
    "PuTTY-User-Key-File": "is in the PuTTY format: convert it with `puttygen FILE -O private-openssh -o key.pem`",
    '"kty"': "is a JWK: convert it to a PEM",
    "<RSAKeyValue>": "is an XML key: convert it to a PEM",
    "PRIVATE KEY-----": "cannot be read: the key is damaged, or its end is missing",
    rf"PUBLIC KEY-----|ssh-(rsa|ed25519) |{_PUBLIC}": "is a public key: use its private half",
    rf"CERTIFICATE|\A0{_LENGTH}0{_LENGTH}\xa0\x03\x02\x01": "is a certificate: use its private key",
    "-----BEGIN ": "is a PEM of another kind, or its end is missing",
}
_NO_PEM = "is not a PEM: it has no `BEGIN … PRIVATE KEY`. To pass a file, use WONDER_PRIVATE_KEY_FILE or a pathlib.Path"


def key_or_signer(key: object, passphrase: object = None) -> RSAPrivateKey | Signer:
    """Return a signer as it is, and any other key loaded.

    Raises:
        ConfigurationError: It is neither.
    """
    # The keys of other algorithms have a sign(), too.
    is_signer = isinstance(key, Signer) and not isinstance(key, RSAPrivateKey | type)
    if is_signer and not type(key).__module__.startswith("cryptography."):
        return cast("Signer", key)
    return loaded_key(key, passphrase, "private_key=", "passphrase=")


class _Problem(Exception):  # noqa: N818 (it never leaves this module)
    """What is wrong with a key, in words that follow its name."""


def loaded_key(key: object, passphrase: object, name: str, passphrase_name: str) -> RSAPrivateKey:
    """Return the RSA private key in any of its forms.

    Args:
        key: Text or bytes, the path of a file, or the key itself, which is returned as it is.
        passphrase: The passphrase of an encrypted key.
        name: Where the key comes from, for the message.
        passphrase_name: Where the passphrase comes from.

    Raises:
        ConfigurationError: It is not an RSA private key. The message says what it is, and quotes nothing of it.
    """
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
    is_der = content.startswith(b"0") and not content.isascii()
    text = content.decode("latin-1") if is_der else _one_line(content)
    keys = _KEY.findall(text)
    if len(keys) > 1:
        raise _Problem(f"has {len(keys)} private keys: keep the one that the vendor knows")
    if keys:
        return _pem(*keys[0])
    for pattern, problem in _OTHERS.items():
        if re.search(pattern, text, re.DOTALL):
            raise _Problem(problem)
    if is_der:
        return content
    bare = unquoted(text).replace(" ", "")
    with suppress(ValueError):
        if bare:
            return _encoded(base64.b64decode(bare, validate=True))
    raise _Problem(_NO_PEM)


def _one_line(content: bytes) -> str:
    r"""Return a content as one line of ASCII: without byte order marks, UTF-16's zeros, and escapes such as ``\n``."""
    text = content.replace(b"\0", b"").decode("ascii", "ignore")
    return re.sub(r"(\\+[nrt]|\s)+", " ", text).replace("\\", "")


def _pem(label: str, headers: str, body: str) -> bytes:
    """Return a PEM with the line breaks that its parsers require."""
    headers = headers.strip().replace(" DEK-Info", "\nDEK-Info") + "\n\n" if headers else ""
    lines = "\n".join(re.findall(".{1,64}", body.replace(" ", "")))
    return f"-----BEGIN {label}-----\n{headers}{lines}\n-----END {label}-----\n".encode()


def _rsa(encoded: bytes, password: bytes, passphrase_name: str) -> RSAPrivateKey:
    load = load_der_private_key if encoded.startswith(b"0") else load_pem_private_key
    bare = password.strip(b" \t\r\n\"'")
    # The passphrase as it is, then without a line end, then without the quotes around it.
    candidates: list[bytes | None] = [password, password.rstrip(b"\r\n"), bare] if bare else [None]
    for candidate in dict.fromkeys(candidates):
        try:
            key = load(encoded, candidate)
        except TypeError:
            problem = "is not encrypted: omit" if bare else "is encrypted: pass its passphrase in"
            raise _Problem(f"{problem} {passphrase_name}") from None
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, RSAPrivateKey):
            return key
        raise _Problem(f"is {type(key).__name__.removesuffix('PrivateKey')}, not RSA")
    wrong = f"{passphrase_name} is wrong, or " if bare else ""
    raise _Problem(f"cannot be read: {wrong}the key is damaged")
