"""The pytest plugin, in a project of its own."""

import subprocess
import sys
import typing
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


def run(folder: Path, test: str, *, prelude: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run a test in a project of its own."""
    (folder / "test_service.py").write_text(test)
    # Other plugins take long to load, and some import the package themselves.
    others = {plugin.name for plugin in entry_points(group="pytest11")} - {"wonder_payment"}
    options = ["-q", *(f"-pno:{name}" for name in sorted(others))]
    command = [sys.executable, "-c", f"import sys; {prelude}; import pytest; sys.exit(pytest.main({options}))"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_the_extra_is_all_that_the_fixture_needs(tmp_path: Path) -> None:
    result = run(tmp_path, SERVICE_TEST)
    assert (result.returncode, "2 passed" in result.stdout) == (0, True), result.stdout + result.stderr


NO_EXTRA = "sys.modules['starlette'] = sys.modules['uvicorn'] = None"


@pytest.mark.parametrize("prelude", ["pass", NO_EXTRA], ids=["with the extra", "without"])
def test_the_plugin_costs_nothing_in_a_test_that_does_not_use_it(tmp_path: Path, prelude: str) -> None:
    test = WITHOUT_IT if prelude == "pass" else "def test_nothing(): pass"
    result = run(tmp_path, test, prelude=prelude)
    assert (result.returncode, "1 passed" in result.stdout) == (0, True), result.stdout + result.stderr


def test_without_the_extra_the_fixture_says_what_to_install(tmp_path: Path) -> None:
    result = run(tmp_path, SERVICE_TEST, prelude=NO_EXTRA)
    assert result.returncode == 1
    assert "pip install 'wonder-payment[simulator]'" in result.stdout


def test_the_type_hints_of_the_fixture_can_be_read_at_run_time() -> None:
    assert typing.get_type_hints(wonder_payment_pytest.wonder_gateway).keys() == {"_running_wonder_gateway", "return"}
