"""Write generated/ from openapi.yaml, or check it: `python -m release.generated write|check`."""

import difflib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "generated"
NAME = "wonder_payment_client"


def generate(folder: Path) -> None:
    """Write the client into an empty folder, because the generator does not delete old files."""
    options = ["--path", "openapi.yaml", "--config", "generator-config.yaml", "--meta", "none", "--fail-on-warning"]
    command = ["openapi-python-client", "generate", *options, "--output-path", folder / NAME]
    subprocess.run(command, cwd=ROOT, check=True)


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder, by their paths."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def difference(committed: dict[str, bytes], generated: dict[str, bytes]) -> str:
    """Return a diff of the files of two folders, including those that only one folder has."""
    lines: list[str] = []
    for name in sorted(committed.keys() | generated.keys()):
        old, new = committed.get(name), generated.get(name)
        if old == new:
            continue
        texts = [(content or b"").decode(errors="replace").splitlines(keepends=True) for content in (old, new)]
        names = ["nothing" if old is None else f"a/{name}", "nothing" if new is None else f"b/{name}"]
        lines += list(difflib.unified_diff(*texts, *names)) or [
            f"{name}: empty, and {'missing' if old is None else 'extra'}\n"
        ]
    return "".join(lines)


def main() -> None:
    """Write generated/, or fail and show the difference if it does not match openapi.yaml."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        generate(folder)
        if sys.argv[1] == "write":
            shutil.rmtree(COMMITTED, ignore_errors=True)
            shutil.copytree(folder, COMMITTED)
        elif found := difference(files(COMMITTED), files(folder)):
            sys.exit(f"generated/ does not match openapi.yaml; `nox -s regenerate` fixes it:\n{found}")


if __name__ == "__main__":
    main()
