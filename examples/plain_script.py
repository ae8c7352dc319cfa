"""A plain script: wait until a token may be charged, and then do so.

The token comes in on stdin: an argument is seen by everybody on the machine, and stays in the shell's history. Set the
client's WONDER_… variables, and then::

    python plain_script.py --timeout 300 < token.txt

The exit status is 0 when it was verified, 1 after an error, 3 when it is pending still, 4 when 3-D Secure failed.
"""

import argparse
import logging
import sys

from wonder_payment import PaymentToken, StillPendingError, WonderClient, WonderError

log = logging.getLogger("charge")


def show(token: PaymentToken) -> None:
    """Log a look: the last four characters tell enough."""
    log.info("…%s is %s", token.token[-4:], token.state)


def charge(token: PaymentToken) -> None:
    """Stand in for your own next step."""
    log.info("…%s may be charged", token.token[-4:])


def main() -> int:
    """Wait, and return the exit status."""
    parser = argparse.ArgumentParser(description="Charge the token on stdin once it is verified.")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the card holder")
    timeout = parser.parse_args().timeout
    # The library logs its retries, and leaves it to you where; httpx has a line for each request.
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
