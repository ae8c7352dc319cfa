"""What is tested is what is published."""

import subprocess
import sys
from importlib.metadata import files, version
from pathlib import Path

import pytest
import wonder_payment
import wonder_payment_client


@pytest.mark.skipif("editable" in str(files("wonder-payment")), reason="an editable install, for work on the tests")
@pytest.mark.parametrize("package", [wonder_payment, wonder_payment_client])
def test_the_installed_package_is_tested_and_not_the_source_tree(package: object) -> None:
    assert "site-packages" in str(getattr(package, "__file__", ""))


@pytest.mark.parametrize("package", [wonder_payment, wonder_payment_client])
def test_both_packages_are_marked_as_typed(package: object) -> None:
    assert Path(str(getattr(package, "__file__", ""))).with_name("py.typed").is_file()


def test_the_version_is_the_distributions() -> None:
    assert wonder_payment.__version__ == version("wonder-payment")


def test_the_bare_import_needs_no_extra() -> None:
    def loaded(module: str) -> set[str]:
        code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
        return set(
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        )

    # httpx loads click and rich for a command line of its own, where they are installed.
    ours = loaded("wonder_payment.client") - loaded("httpx")
    assert "tenacity" in ours
    assert not {"typer", "rich", "click", "starlette", "uvicorn", "pytest", "aiohttp"} & ours


def test_what_is_not_asked_for_is_not_loaded() -> None:
    code = "import sys, wonder_payment; print('httpx' in sys.modules, wonder_payment.WonderClient.__name__)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.split() == ["False", "WonderClient"]
