"""The README's examples run."""

import os
import re
from pathlib import Path

import pytest
from wonder_payment.simulator import SimulatedGateway

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_readme_runs(
    example: str, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gateway.environ.items():
        monkeypatch.setitem(os.environ, name, value)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
