"""Publish this version: see that nothing speaks against it, build it, and let twine upload it.

PUBLISH_ARGUMENTS has what twine gets besides. It is a variable because nox shows a command's arguments.
"""

import os
import shlex
import sys
from pathlib import Path

from release import build
from release.refusals import Refused, check


def main() -> None:
    """Do it, or end with the one line that says why not."""
    arguments = shlex.split(os.environ.get("PUBLISH_ARGUMENTS", ""))
    try:
        version = check(Path.cwd(), arguments, os.environ.get("PIP_INDEX_URL", ""))
    except Refused as refusal:
        sys.exit(f"Not published: {refusal}")
    build.main()
    files = [path for pattern in ("*.tar.gz", "*.whl") for path in build.DIST.glob(pattern)]
    build.run("twine", "upload", "--non-interactive", "--disable-progress-bar", *arguments, *files)
    print(f"Published. Now tag it: git tag v{version} && git push origin v{version}")


if __name__ == "__main__":
    main()
