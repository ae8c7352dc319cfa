"""The gateway of the benchmarks: the least of HTTP/1.1 that the clients need, and no check of the signature.

`bench.py` runs it in a process of its own. It prints its port, and ends when its standard input does.

A token's first eight hexadecimal digits say at how many looks it is still pending. Where they are not 0, the answer has
a field `received`: when the request came in, by time.monotonic(), which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
BODY = (
    b'{"code":200,"message":"ok","data":{"payment_token":{"token_type":"CreditCard","token":"%b","state":"%b",'
    b'"default":false,"error_code":null,"error_msg":null,"credit_card":{"number":"411111******1111","exp_month":"12",'
    b'"exp_year":"2030","holder_name":"SAM SAMPLE","brand":"visa","billing_currency":"HKD"}%b}}}'
)
AT_ONCE = "00000000"

looks = Counter[str]()


def answer(body: bytes) -> bytes:
    """Return the answer to a request for the token in this body."""
    token: str = json.loads(body)["payment_token"]["token"]
    state, more = b"success", b""
    if not token.startswith(AT_ONCE):
        more = b',"received":%.6f' % time.monotonic()
        looks[token] += 1
        state = b"pending" if looks[token] <= int(token[:8], 16) else b"success"
    content = BODY % (token.encode(), state, more)
    return HEAD % len(content) + content


class Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n") + 4) > 3:  # noqa: PLR2004 (-1 is "not found")
            length = self.unread[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = self.unread[end : end + int(length)]
            if len(body) < int(length):
                return
            self.unread = self.unread[end + int(length) :]
            self.transport.write(answer(body))


def end_with_parent() -> None:
    """Wait until nobody holds the other end of the standard input, and go."""
    sys.stdin.read()
    os._exit(0)


async def main() -> None:
    """Serve until the parent goes."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=end_with_parent, daemon=True).start()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
