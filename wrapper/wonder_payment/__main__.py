"""The command ``wonder-payment``, also as ``python -m wonder_payment``."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say how to install it."""
    try:
        from .cli import run  # noqa: PLC0415 (it needs the extra)
    except ModuleNotFoundError as error:
        sys.exit(f"wonder-payment: {error}. Install the extras: pip install 'wonder-payment[cli,simulator]'")
    run()


if __name__ == "__main__":
    main()
