"""A plain script: wait until a token is verified, then charge it.

It reads the token from stdin, because arguments are visible to every user of the machine and stay in the shell's
history. Set the client's WONDER_… variables, then run::

    python plain_script.py --timeout 300 < token.txt

The exit status is 0 if the token is verified, 1 after an error, 3 if it is still pending, 4 if 3-D Secure failed.
"""

import argparse
import logging
import sys

from wonder_payment import PaymentToken, StillPendingError, WonderClient, WonderError

log = logging.getLogger("charge")


def show(token: PaymentToken) -> None:
    """Log the result of a poll, with the last four characters of the token only."""
    log.info("…%s is %s", token.token[-4:], token.state)


def charge(token: PaymentToken) -> None:
    """Do your own next step here."""
    log.info("…%s may be charged", token.token[-4:])


def main() -> int:
    """Wait, and return the exit status."""
    parser = argparse.ArgumentParser(description="Charge the token on stdin once it is verified.")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the cardholder")
    timeout = parser.parse_args().timeout
    # The library logs its retries. httpx would log a line for each request.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with WonderClient.from_env() as wonder:
            token = wonder.wait_for_token(sys.stdin.read().strip(), timeout=timeout, on_poll=show)
    except StillPendingError as error:
        print(error, file=sys.stderr)
        return 3
    except WonderError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if token.is_failed:
        print(f"3-D Secure failed: {token.error_code} {token.error_message}", file=sys.stderr)
        return 4
    charge(token)
    return 0


if __name__ == "__main__":
    sys.exit(main())
