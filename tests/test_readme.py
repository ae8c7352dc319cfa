"""The README says what is so: its examples run, its tables are the code's."""

import os
import re
from pathlib import Path

import pytest
import wonder_payment
from conftest import Clock
from wonder_payment.simulator import WELL_KNOWN, SimulatedGateway

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_readme_runs(
    example: str, gateway: SimulatedGateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gateway.environ.items():
        monkeypatch.setitem(os.environ, name, value)
    names = {"__name__": "readme"}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    for test in (thing for name, thing in names.items() if name.startswith("test_")):
        test(gateway)  # type: ignore[operator]
    assert sum(clock.slept) < 60.0


def test_the_well_known_tokens_are_the_readmes() -> None:
    rows = re.findall(r"^\| `(0{8}-[0-9-]+)` \| (.*) \|$", README, re.MULTILINE)
    assert rows == [(known.token, known.behaviour) for known in WELL_KNOWN]


def test_the_errors_are_the_readmes() -> None:
    rows = re.findall(r"^\| `[├└ ─]*(\w+Error)` \|", README, re.MULTILINE)
    assert set(rows) == {name for name in wonder_payment.__all__ if name.endswith("Error")} - {"WonderError"}


def test_the_retry_defaults_are_the_readmes() -> None:
    policy = wonder_payment.RetryPolicy()
    for name in ("max_attempts", "max_elapsed", "backoff_initial", "backoff_max", "jitter"):
        assert f"`{name}={getattr(policy, name)}" in README
