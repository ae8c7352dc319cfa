"""Publish this version: see that nothing speaks against it, build it, and let twine upload it.

PUBLISH_ARGUMENTS has what twine gets besides. It is a variable because nox shows a command's arguments.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from release.refusals import Refused, check


def main() -> None:
    """Do it, or end with the one line that says why not."""
    arguments = shlex.split(os.environ.get("PUBLISH_ARGUMENTS", ""))
    try:
        version = check(Path.cwd(), arguments, os.environ.get("PIP_INDEX_URL", ""))
    except Refused as refusal:
        sys.exit(f"Not published: {refusal}")
    _run("release.build")
    files = [str(path) for pattern in ("*.tar.gz", "*.whl") for path in Path("dist").glob(pattern)]
    _run("twine", "upload", "--non-interactive", "--disable-progress-bar", *arguments, *files)
    print(f"Published. Now tag it: git tag v{version} && git push origin v{version}")


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
