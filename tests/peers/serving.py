"""Servers of other projects on loopback ports, with a log that is shown when a test fails."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import pytest
import trustme
from examples.programs import Program, running
from wonder_payment.simulator import SimulatedGateway

# Over TLS, nginx serves the simulator as it is, and behind a proxy that compresses whatever the client accepts.
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
    log_format seen '$server_protocol $connection $upstream_http_content_encoding';
    ssl_certificate certificate.pem; ssl_certificate_key certificate.pem;
    keepalive_timeout 1s;
    proxy_http_version 1.1;
    access_log access.log seen;
    server {{
        listen 127.0.0.1:{plain} ssl http2;
        location / {{ proxy_pass {simulator}; }}
    }}
    server {{
        listen 127.0.0.1:{compressed} ssl http2;
        location / {{ proxy_pass http://127.0.0.1:{compressor}; proxy_set_header Accept-Encoding gzip; }}
    }}
    server {{
        listen 127.0.0.1:{compressor};
        access_log off;
        gzip on; gzip_types application/json; gzip_min_length 1;
        location / {{ proxy_pass {simulator}; }}
        location = /logged {{ return 204; }}
    }}
}}
"""

# The running servers, by name.
RUNNING: dict[str, Program] = {}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], folder: Path, port: int, **environ: str) -> Iterator[Program]:
    """Run a server until the block ends; skip the test if its program is missing."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with running(command, folder, **environ) as program:
        RUNNING[" ".join(command)] = program
        try:
            _wait_for(program, port)
            yield program
        finally:
            del RUNNING[" ".join(command)]


def _wait_for(program: Program, port: int) -> None:
    """Wait, half a minute at most, until a server accepts connections."""
    deadline = time.monotonic() + 30
    while program.reader.is_alive() and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"The server does not accept connections:\n{program.printed}")


@attrs.frozen
class Nginx:
    """nginx in front of the simulator.

    Attributes:
        folder: Its temporary folder.
        port: The port that it serves over TLS.
        base_url: Its URL.
        compressed_base_url: Its URL with compressed responses.
        logged_url: A URL that is not logged.
    """

    folder: Path
    port: int
    base_url: str
    compressed_base_url: str
    logged_url: str

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed nginx's own."""
        return self.folder / "authority.pem"

    def seen(self) -> list[list[str]]:
        """Return the protocol, the connection's number and the compression of each request."""
        # nginx logs a request after its response, but before the next one: it is a single process.
        httpx.get(self.logged_url)
        return [line.split() for line in (self.folder / "access.log").read_text().splitlines()]


@contextmanager
def nginx_in(folder: Path, gateway: SimulatedGateway) -> Iterator[Nginx]:
    plain, compressed, compressor = free_port(), free_port(), free_port()
    base_urls = [f"https://127.0.0.1:{port}" for port in (plain, compressed)]
    nginx = Nginx(folder, plain, *base_urls, logged_url=f"http://127.0.0.1:{compressor}/logged")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(nginx.authority)
    certificate = authority.issue_cert("127.0.0.1", "gateway.test")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    config = NGINX.format(plain=plain, compressed=compressed, compressor=compressor, simulator=gateway.base_url)
    (folder / "nginx.conf").write_text(config)
    with serving(["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], folder, plain):
        yield nginx
