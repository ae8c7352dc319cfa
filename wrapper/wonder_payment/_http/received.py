"""What a connection received, and its body without compression. No I/O."""

import zlib
from collections.abc import Iterable, Mapping

import attrs

from wonder_payment._redact import redact

# A response has some 500 bytes. A body larger than this is not read to its end.
MAX_BYTES = 1024 * 1024


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as text, with names in lower case, and the values of each name joined by commas."""
    received = dict[str, str]()
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        received[name] = f"{received[name]}, {value}" if name in received else value
    return received


@attrs.frozen
class RawResponse:
    """What a connection received.

    Attributes:
        status_code: The HTTP status.
        headers: The headers, with names in lower case.
        body: The bytes of the body, as sent; None if there are more than 1 MiB.
    """

    status_code: int
    headers: Mapping[str, str]
    body: bytes | None = attrs.field(repr=False)


def decompressed(response: RawResponse) -> tuple[bytes, str]:
    """Return the body, and the reason why it cannot be read (empty if it can).

    We ask for no compression, but a proxy may compress nevertheless.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    body, too_large = response.body, "its body is larger than 1 MiB, and was not read to its end"
    if body is None:
        return b"", too_large
    if encoding in ("", "identity"):
        return body, ""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return b"", f"its Content-Encoding is {redact(encoding)}, and only gzip and deflate can be read"
    # Some servers send deflate without the header of zlib, whose first four bits are always 8.
    is_raw = encoding == "deflate" and body[:1] and body[0] & 15 != 8  # noqa: PLR2004
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS if is_raw else zlib.MAX_WBITS + 32)
    try:
        content = decompressor.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        content = b""
    if len(content) > MAX_BYTES:
        return b"", too_large
    is_whole = decompressor.eof and not decompressor.unused_data
    return content, "" if is_whole else f"its body is not one whole {encoding} stream"
