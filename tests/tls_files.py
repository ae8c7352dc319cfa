"""PEM files of authorities, client certificates and keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from faults.servers import authority

SECRET = "Tr0ub4dor"


def write_files(folder: Path) -> Mapping[str, str]:
    """Write PEM files, good and bad ones; return their paths."""
    certificate, other = (authority().issue_cert(f"{name}.example") for name in ("service", "other"))
    private_key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encrypted = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
    contents = {
        "authority": authority().cert_pem.bytes(),
        "both": certificate.private_key_and_cert_chain_pem.bytes(),
        "certificate": certificate.cert_chain_pems[0].bytes(),
        "key": certificate.private_key_pem.bytes(),
        "encrypted key": encrypted,
        "key of another": other.private_key_pem.bytes(),
        "key in DER": private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "no PEM": SECRET.encode(),
        "empty": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in [*contents, "missing"]} | {"folder": str(folder)}


def of_files(value: Any, files: Mapping[str, str]) -> Any:
    if isinstance(value, tuple):
        return tuple(of_files(part, files) for part in value)
    return files.get(value, value) if isinstance(value, str) else value
