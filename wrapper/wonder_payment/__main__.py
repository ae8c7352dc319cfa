"""The command ``wonder-payment``, also as ``python -m wonder_payment``."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say how to install it."""
    try:
        from .cli import run  # noqa: PLC0415 (it needs the extra)

        run()
    except ModuleNotFoundError as error:
        sys.exit(f"wonder-payment: {error}. Install the extras: pip install 'wonder-payment[cli,simulator]'")
    except OSError as error:
        # Python flushes stdout once more at its end: let that go nowhere, in place of failing a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(f"wonder-payment: {error}")


if __name__ == "__main__":
    main()
