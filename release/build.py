"""Build the sdist, the wheel and its SBOM into dist/, and fail unless the same sources give the same bytes."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

DIST = Path("dist")
# Where git tells no time, as in an unpacked sdist: the first one that a ZIP file can hold.
NO_COMMIT = "315532800"


def main() -> None:
    """Build three times: twice from this folder, and from the sdist as someone else has unpacked it."""
    os.environ["SOURCE_DATE_EPOCH"] = _commit_time()
    shutil.rmtree(DIST, ignore_errors=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _build(Path.cwd(), DIST, umask=0o022)
        _build(Path.cwd(), folder / "again", umask=0o077)
        (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
        _build(_unpacked(sdist, folder), folder / "from the sdist", umask=0o022)
        for other in ("again", "from the sdist"):
            for path in (sdist, wheel):
                if path.read_bytes() != (folder / other / path.name).read_bytes():
                    sys.exit(f"{path.name}, built {other}, has other bytes.")
        run("twine", "check", "--strict", sdist, wheel)
        run("check_wheel_contents", wheel)
        _write_sbom(wheel, folder)


def _commit_time() -> str:
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else NO_COMMIT


def _build(source: Path, target: Path, *, umask: int) -> None:
    # With the pinned hatchling of this environment, which names its version in the wheel.
    options = ("--directory", target.absolute(), "-t", "sdist", "-t", "wheel")
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", *options]
    done = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True, umask=umask)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def _unpacked(sdist: Path, folder: Path) -> Path:
    """Return the sdist's folder, with file modes and times that are not this checkout's."""
    with tarfile.open(sdist) as archive:
        # The filter that 3.14 takes by itself; the first releases of 3.11 do not know it.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(folder)  # noqa: S202 (made a moment ago, by us)
    result = folder / sdist.name.removesuffix(".tar.gz")
    for path in result.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1e9, 1e9))
    return result


def _write_sbom(wheel: Path, folder: Path) -> None:
    """Write what a bare install of the wheel brings along, with the licences, and fail if one of them won't do."""
    bare, (name, version) = folder / "bare", wheel.name.split("-")[:2]
    run("venv", "--without-pip", bare)
    pip = ("pip", "--python", bare, "--disable-pip-version-check", "install", "--quiet")
    run(*pip, wheel)
    # Once more by its name: what is installed by its path has that path in the SBOM.
    run(*pip, "--no-deps", "--no-index", "--force-reinstall", "--find-links", DIST, f"{name}=={version}")
    about = folder / "pyproject.toml"
    about.write_text(_with_version(Path("pyproject.toml").read_text(), version))
    sbom = DIST / f"{name}-{version}.cdx.json"
    options = ("--pyproject", about, "--mc-type", "library", "--output-reproducible", "--output-file", sbom)
    run("cyclonedx_py", "environment", *options, bare)
    run("release.licences", sbom)


def _with_version(project: str, version: str) -> str:
    """Return pyproject.toml's text with the version in it: the SBOM's author reads no other file."""
    before, dynamic, after = project.partition('dynamic = ["version"]')
    if not dynamic:
        sys.exit("pyproject.toml no longer says where the version comes from as release/build.py knows it.")
    return f'{before}version = "{version}"{after}'


def run(module: str, *arguments: str | Path) -> None:
    """Run a module with this Python, and end with its exit status if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
