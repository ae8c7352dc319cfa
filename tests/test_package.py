"""The installed package is the published one."""

import subprocess
import sys
from importlib.metadata import files, version
from pathlib import Path

import pytest
import wonder_payment
import wonder_payment_client


@pytest.mark.skipif("editable" in str(files("wonder-payment")), reason="an editable install")
@pytest.mark.parametrize("package", [wonder_payment, wonder_payment_client])
def test_the_installed_package_is_tested_and_not_the_source_tree(package: object) -> None:
    assert "site-packages" in str(getattr(package, "__file__", ""))


@pytest.mark.parametrize("package", [wonder_payment, wonder_payment_client])
def test_both_packages_are_marked_as_typed(package: object) -> None:
    assert Path(str(getattr(package, "__file__", ""))).with_name("py.typed").is_file()


def test_the_version_is_the_distributions() -> None:
    assert wonder_payment.__version__ == version("wonder-payment")


def test_the_import_and_its_public_names_need_no_extra() -> None:
    def loaded(statement: str) -> set[str]:
        code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return set(run.stdout.split())

    # httpx loads click and rich for a command line of its own, where they are installed.
    ours = loaded("from wonder_payment import *; import wonder_payment.signing") - loaded("import httpx")
    assert {"wonder_payment", "wonder_payment_client", "cryptography"} <= ours
    extras = {"typer", "rich", "click", "jinja2", "starlette", "uvicorn", "pytest", "aiohttp", "yarl"}
    assert not extras & ours
