"""The pytest plugin, in a project that is not this one."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

SERVICE_TEST = """
def test_a_token_is_charged_once_it_is_verified(wonder_gateway):
    token = wonder_gateway.add_token(states=["pending", "success"])
    with wonder_gateway.client() as wonder:
        assert wonder.wait_for_token(token).is_verified
    assert len(wonder_gateway.requests) == 2


def test_each_test_has_the_gateway_as_new(wonder_gateway):
    assert wonder_gateway.requests == []
"""

WITHOUT_IT = """
import sys


def test_the_plugin_costs_nothing_until_it_is_asked_for():
    assert "wonder_payment_pytest" in sys.modules
    assert not {"wonder_payment", "httpx", "starlette", "cryptography"} & set(sys.modules)
"""


def run(folder: Path, test: str, *, prelude: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run this test in a project of its own."""
    (folder / "test_service.py").write_text(test)
    # Not this project's settings, nor its other plugins: they take long to load, and some load the package themselves.
    others = {plugin.name for plugin in entry_points(group="pytest11")} - {"wonder_payment"}
    options = ["-q", *(f"-pno:{name}" for name in sorted(others))]
    command = [sys.executable, "-c", f"import sys; {prelude}; import pytest; sys.exit(pytest.main({options}))"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_a_service_has_the_fixture_by_installing_the_extra(tmp_path: Path) -> None:
    result = run(tmp_path, SERVICE_TEST)
    assert (result.returncode, "2 passed" in result.stdout) == (0, True), result.stdout + result.stderr


NO_EXTRA = "sys.modules['starlette'] = sys.modules['uvicorn'] = None"


@pytest.mark.parametrize("prelude", ["pass", NO_EXTRA], ids=["with the extra", "without"])
def test_a_test_that_does_not_ask_for_it_does_not_pay_for_it(tmp_path: Path, prelude: str) -> None:
    test = WITHOUT_IT if prelude == "pass" else "def test_nothing(): pass"
    result = run(tmp_path, test, prelude=prelude)
    assert (result.returncode, "1 passed" in result.stdout) == (0, True), result.stdout + result.stderr


def test_without_the_extra_the_fixture_says_what_to_install(tmp_path: Path) -> None:
    result = run(tmp_path, SERVICE_TEST, prelude=NO_EXTRA)
    assert result.returncode == 1
    assert "pip install 'wonder-payment[simulator]'" in result.stdout
