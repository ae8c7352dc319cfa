"""Servers with several workers, each of which uses clients that the service made at import, over TLS."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from peers.serving import Nginx, free_port, serving
from wonder_payment.simulator import SimulatedGateway

GUNICORN = ("-m", "gunicorn", "--workers=2", "--bind=127.0.0.1:{port}")

SERVERS = {
    "gthread": (*GUNICORN, "app:wsgi", "--worker-class=gthread", "--threads=8"),
    "gthread, preload": (*GUNICORN, "app:wsgi", "--worker-class=gthread", "--threads=8", "--preload"),
    "gevent": (*GUNICORN, "app:wsgi", "--worker-class=gevent"),
    "gevent, preload": (*GUNICORN, "app:wsgi", "--worker-class=gevent", "--preload"),
    "asgi, preload": (*GUNICORN, "app:asgi", "--worker-class=asgi", "--preload"),
    "uvicorn": ("-m", "uvicorn", "app:asgi", "--workers=2", "--port={port}", "--lifespan=off"),
}


@pytest.mark.parametrize("transport", [{}, {"TRANSPORT": "fast"}], ids=["default", "fast"])
@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_workers_use_clients_that_were_made_at_import(
    gateway: SimulatedGateway, nginx: Nginx, tmp_path: Path, command: tuple[str, ...], transport: dict[str, str]
) -> None:
    port = free_port()
    arguments = [argument.format(port=port) for argument in command]
    settings = gateway.environ | {"WONDER_BASE_URL": nginx.base_url} | transport
    with (
        serving([sys.executable, *arguments], tmp_path, port, PYTHONPATH=str(Path(__file__).parent), **settings),
        ThreadPoolExecutor(12) as threads,
    ):
        texts = list(threads.map(lambda _: httpx.get(f"http://127.0.0.1:{port}", timeout=20).text, range(12)))
    assert texts == ["success success success success"] * 12
    assert {request.status for request in gateway.requests} == {200}
    if "--preload" in command:
        of_parent, *of_workers = [connection for _, connection, _ in nginx.seen()]
        assert of_parent not in of_workers
