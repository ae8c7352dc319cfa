"""Servers with several workers, each of which uses a client that the service made at import."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from peers.serving import FAST, free_port, serving
from wonder_payment.simulator import SimulatedGateway

GUNICORN = ["-m", "gunicorn", "app:wsgi", "--workers=2", "--bind=127.0.0.1:{port}"]
UVICORN = ["-m", "uvicorn", "app:asgi", "--workers=2", "--port={port}", "--lifespan=off"]

SERVERS = {
    "gthread": (*GUNICORN, "--worker-class=gthread", "--threads=8"),
    "gthread, preload": (*GUNICORN, "--worker-class=gthread", "--threads=8", "--preload"),
    "gevent": (*GUNICORN, "--worker-class=gevent"),
    "gevent, preload": (*GUNICORN, "--worker-class=gevent", "--preload"),
    "uvicorn": UVICORN,
}


def respond_to_a_dozen(gateway: SimulatedGateway, folder: Path, command: tuple[str, ...], **environ: str) -> None:
    """Start a server, and send it twelve requests at once."""
    port = free_port()
    arguments = [argument.format(port=port) for argument in command]
    environ = gateway.environ | {"PYTHONPATH": str(Path(__file__).parent)} | environ
    with (
        serving([sys.executable, *arguments], folder, port, **environ),
        ThreadPoolExecutor(12) as threads,
    ):
        states = list(threads.map(lambda _: httpx.get(f"http://127.0.0.1:{port}", timeout=20).text, range(12)))
    assert states == ["success"] * 12
    assert [request.status for request in gateway.requests] == [200] * 12


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_workers_use_a_client_that_was_made_at_import(
    gateway: SimulatedGateway, tmp_path: Path, command: tuple[str, ...]
) -> None:
    respond_to_a_dozen(gateway, tmp_path, command)


def test_uvicorn_workers_use_the_faster_transport(gateway: SimulatedGateway, tmp_path: Path) -> None:
    respond_to_a_dozen(gateway, tmp_path, SERVERS["uvicorn"], TRANSPORT=FAST)
