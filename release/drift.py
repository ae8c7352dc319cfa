"""Compares generated/ with what the generator writes: `python -m release.drift COMMITTED GENERATED`."""

import difflib
import sys
from pathlib import Path


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


if __name__ == "__main__":
    found = difference(*(files(Path(folder)) for folder in sys.argv[1:]))
    if found:
        sys.exit("generated/ does not match openapi.yaml; `nox -s regenerate` fixes it:\n" + found)
