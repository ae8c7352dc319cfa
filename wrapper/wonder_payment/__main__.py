"""The command ``wonder-payment``, also as ``python -m wonder_payment``."""

import os
import sys

__all__ = ["main"]

# The extra that brings a module; any other missing module is a bug.
_EXTRAS = {"rich": "cli", "typer": "cli", "jinja2": "simulator", "starlette": "simulator", "uvicorn": "simulator"}


def main() -> None:
    """Run the command line, or say which extra to install."""
    try:
        from .cli import run  # noqa: PLC0415 (needs the extra)

        run()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        sys.exit(f"wonder-payment: {error}. Install the extra: pip install 'wonder-payment[{extra}]'")
    except OSError as error:
        # Python flushes stdout again at exit, which would fail a second time.
        if sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(f"wonder-payment: {error}")


if __name__ == "__main__":
    main()
