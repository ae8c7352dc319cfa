"""A minimal HTTP/1.1 server for bench.py: it checks no signature, and every token is verified.

It runs in a process of its own, prints its port, and exits when its standard input closes.
"""

import asyncio
import json
import os
import sys
import threading
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
BODY = (
    b'{"code":200,"message":"ok","data":{"payment_token":{"token_type":"CreditCard","token":"%b","state":"success",'
    b'"default":false,"error_code":null,"error_msg":null,"credit_card":{"number":"411111******1111","exp_month":"12",'
    b'"exp_year":"2030","holder_name":"SAM SAMPLE","brand":"visa","billing_currency":"HKD"}}}}'
)


class Connection(asyncio.Protocol):
    """Responds to the requests of one connection, one after the other."""

    def connection_made(self, transport: Any) -> None:
        """Store the transport."""
        self.transport = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        """Respond to the requests that are complete."""
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n") + 4) > 3:  # noqa: PLR2004 (-1 is "not found")
            length = self.unread[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = self.unread[end : end + int(length)]
            if len(body) < int(length):
                return
            self.unread = self.unread[end + int(length) :]
            content = BODY % json.loads(body)["payment_token"]["token"].encode()
            self.transport.write(HEAD % len(content) + content)


def exit_with_parent() -> None:
    """Exit when the other end of the standard input closes."""
    sys.stdin.read()
    os._exit(0)


async def main() -> None:
    """Serve until the parent process exits."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
