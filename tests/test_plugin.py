"""The pytest plugin, in a project of its own."""

import subprocess
import sys
import typing
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import wonder_payment_pytest

SERVICE_TEST = """
def test_a_verified_token_is_charged(wonder_gateway):
    token = wonder_gateway.add_token(states=["pending", "success"])
    with wonder_gateway.client() as wonder:
        assert wonder.wait_for_token(token).is_verified
    assert len(wonder_gateway.requests) == 2


def test_each_test_has_a_reset_simulator(wonder_gateway):
    assert wonder_gateway.requests == []
"""

WITHOUT_IT = """
import sys


def test_the_plugin_imports_nothing_before_it_is_used():
    assert "wonder_payment_pytest" in sys.modules
    assert not {"wonder_payment", "httpx", "starlette", "cryptography"} & set(sys.modules)
"""


def run(
    folder: Path, test: str, *options: str, plugins: Sequence[str] = (), prelude: str = "pass"
) -> subprocess.CompletedProcess[str]:
    """Run a test in a project of its own, with these plugins beside ours."""
    (folder / "test_service.py").write_text(test)
    # Other plugins take long to load, and some import the package themselves.
    others = {plugin.name for plugin in entry_points(group="pytest11")} - {"wonder_payment", *plugins}
    arguments = ["-q", "--strict-markers", "-Werror", *(f"-pno:{name}" for name in sorted(others)), *options]
    command = [sys.executable, "-c", f"import sys; {prelude}; import pytest; sys.exit(pytest.main({arguments}))"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def assert_passed(result: subprocess.CompletedProcess[str], count: int) -> None:
    assert (result.returncode, f"{count} passed" in result.stdout) == (0, True), result.stdout + result.stderr


def test_the_extra_is_all_that_the_fixture_needs(tmp_path: Path) -> None:
    assert_passed(run(tmp_path, SERVICE_TEST), 2)


NO_EXTRA = "sys.modules['starlette'] = sys.modules['uvicorn'] = None"


@pytest.mark.parametrize("prelude", ["pass", NO_EXTRA], ids=["with the extra", "without"])
def test_the_plugin_costs_nothing_in_a_test_that_does_not_use_it(tmp_path: Path, prelude: str) -> None:
    test = WITHOUT_IT if prelude == "pass" else "def test_nothing(): pass"
    assert_passed(run(tmp_path, test, prelude=prelude), 1)


def test_without_the_extra_the_fixture_says_what_to_install(tmp_path: Path) -> None:
    result = run(tmp_path, SERVICE_TEST, prelude=NO_EXTRA)
    assert result.returncode == 1
    assert "pip install 'wonder-payment[simulator]'" in result.stdout


STARTED_WHEN_USED = """
import threading


def is_running():
    return "simulated-gateway" in [thread.name for thread in threading.enumerate()]


def test_without():
    assert not is_running()


def test_with(wonder_gateway):
    assert is_running()
"""


def test_the_simulator_starts_with_the_first_test_that_uses_it(tmp_path: Path) -> None:
    assert_passed(run(tmp_path, STARTED_WHEN_USED), 2)


IN_WORKERS = """
import pytest


@pytest.mark.parametrize("number", range(4))
def test_a_token_is_checked_once(wonder_gateway, number):
    token = wonder_gateway.add_token(states=["success"])
    with wonder_gateway.client() as wonder:
        assert wonder.check_token(token).is_verified
    assert [request.token for request in wonder_gateway.requests] == [token]
"""


def test_each_xdist_worker_has_a_simulator_of_its_own(tmp_path: Path) -> None:
    assert_passed(run(tmp_path, IN_WORKERS, "-n2", plugins=["xdist"]), 4)


ASYNC_TEST = """
import pytest
from wonder_payment.simulator import Fault


@pytest.fixture
async def wonder(wonder_gateway):
    async with wonder_gateway.async_client() as wonder:
        yield wonder


@pytest.mark.parametrize("number", range(2))
async def test_a_pending_token_is_verified_later(wonder_gateway, wonder, number):
    token = wonder_gateway.add_token(states=["pending", "success"])
    assert (await wonder.check_token(token)).is_pending
    assert (await wonder.check_token(token)).is_verified
    assert len(wonder_gateway.requests) == 2


async def test_the_simulator_is_reset_inside_a_test(wonder_gateway):
    wonder_gateway.add_token()
    wonder_gateway.inject(Fault(status=502))
    wonder_gateway.reset()
    async with wonder_gateway.async_client() as wonder:
        assert (await wonder.check_token("00000000-0000-4000-8000-000000000001")).is_verified


def test_a_sync_test_beside_them(wonder_gateway):
    with wonder_gateway.client() as wonder:
        assert wonder.check_token("00000000-0000-4000-8000-000000000001").is_verified
"""

ANYIO = """
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.mark.parametrize(
    ("plugin", "options", "prelude"),
    [
        ("asyncio", ["--asyncio-mode=auto", "-oasyncio_default_fixture_loop_scope=function"], ""),
        (
            "asyncio",
            [
                "--asyncio-mode=auto",
                "-oasyncio_default_fixture_loop_scope=session",
                "-oasyncio_default_test_loop_scope=session",
            ],
            "",
        ),
        ("anyio", [], ANYIO),
    ],
    ids=["pytest-asyncio", "pytest-asyncio with one loop", "anyio"],
)
def test_async_tests_use_the_fixture(tmp_path: Path, plugin: str, options: list[str], prelude: str) -> None:
    imports, _, tests = ASYNC_TEST.partition("\n\n\n")
    assert_passed(run(tmp_path, f"{imports}\n{prelude}\n\n{tests}", *options, plugins=[plugin]), 4)


BLOCKED = """
import asyncio
import socket

import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError

TOKEN = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def service(wonder_gateway):
    with wonder_gateway.client() as wonder:
        yield wonder


def test_the_simulator_can_be_reached(service):
    assert service.check_token(TOKEN).is_verified


def test_asyncio_reaches_it_too(wonder_gateway):
    async def check():
        async with wonder_gateway.async_client() as wonder:
            return await wonder.check_token(TOKEN)

    assert asyncio.run(check()).is_verified


def test_no_other_host_can_be_reached(wonder_gateway):
    with pytest.raises(SocketConnectBlockedError), socket.socket() as connection:
        connection.connect(("192.0.2.1", 80))


def test_a_test_without_the_fixture_is_still_blocked():
    with pytest.raises((SocketBlockedError, SocketConnectBlockedError)), socket.socket() as connection:
        connection.connect(("127.0.0.1", 80))


@pytest.mark.allow_hosts(["192.0.2.2"])
def test_the_hosts_that_a_test_allows_stay(service, request):
    assert service.check_token(TOKEN).is_verified
    assert request.node.get_closest_marker("allow_hosts").args == (["192.0.2.2", "127.0.0.1"],)
"""


@pytest.mark.parametrize("option", ["--disable-socket", "--allow-hosts=192.0.2.9"])
def test_pytest_socket_lets_the_tests_that_use_the_fixture_reach_the_simulator_alone(
    tmp_path: Path, option: str
) -> None:
    # pytest-socket also warns of what it blocks.
    assert_passed(run(tmp_path, BLOCKED, option, "-Wignore:A test tried:UserWarning", plugins=["socket"]), 5)


@pytest.mark.parametrize("option", ["", "--force-enable-socket"])
def test_pytest_socket_without_restrictions_gets_none_from_the_fixture(tmp_path: Path, option: str) -> None:
    test = """
def test_no_host_is_listed(wonder_gateway, request):
    assert request.node.get_closest_marker("allow_hosts") is None
"""
    assert_passed(run(tmp_path, test, *option.split(), plugins=["socket"]), 1)


def test_the_type_hints_of_the_fixture_can_be_read_at_run_time() -> None:
    assert typing.get_type_hints(wonder_payment_pytest.wonder_gateway).keys() == {"_running_wonder_gateway", "return"}
