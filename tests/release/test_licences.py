"""A dependency with a copyleft or unknown licence fails the build, by the settings in pyproject.toml."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from release.build import python_of

ROOT = Path(__file__).parents[2]
Check = Callable[[str, str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Check an environment with one package."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python_of(environment), "-c", find], check=True, capture_output=True, text=True)
    metadata = Path(found.stdout.strip()) / "some-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()

    def check(name: str, licence: str) -> subprocess.CompletedProcess[str]:
        metadata.write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{licence}\n")
        command: list[str | Path] = [sys.executable, "-m", "piplicenses", "--python", python_of(environment)]
        return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    return check


@pytest.mark.parametrize(
    ("name", "licence"), [("some", "License-Expression: MIT"), ("certifi", "License-Expression: MPL-2.0")]
)
def test_a_permissive_licence_and_certifi_pass(check: Check, name: str, licence: str) -> None:
    assert check(name, licence).returncode == 0


@pytest.mark.parametrize(
    "licence",
    [
        "License-Expression: GPL-3.0-or-later",
        "License-Expression: MIT AND LGPL-2.1-only",
        "License-Expression: MPL-2.0",
        "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "License: Our own",
        "Summary: without a licence",
    ],
)
def test_a_copyleft_or_unknown_licence_fails(check: Check, licence: str) -> None:
    done = check("some", licence)
    assert (done.returncode, "not in allow-only licenses was found for package some:1.0" in done.stderr) == (1, True)
