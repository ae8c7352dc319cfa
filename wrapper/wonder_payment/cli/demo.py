"""``wonder-payment demo``: waits for 3-D Secure at a local simulator (extra: ``simulator``)."""

import logging

from rich.console import Console
from rich.text import Text

from wonder_payment import StillPendingError

from .output import Progress


def demo() -> None:
    """Show how the client waits for 3-D Secure, without an account. The demo starts its own simulator."""
    from wonder_payment.simulator import Fault, SimulatedGateway  # noqa: PLC0415 (needs another extra)

    console = Console(highlight=False)
    log = _Log(console)
    logger = logging.getLogger("wonder_payment")
    logger.addHandler(log)
    faults = [Fault(status=502, headers={"Content-Type": "text/html"}), Fault(broken="reset in the middle")]
    stories: list[tuple[str, list[str], list[Fault], float]] = [
        ("The cardholder passes 3-D Secure.", ["pending", "pending", "pending", "success"], [], 60.0),
        ("The cardholder fails 3-D Secure. That is a result, not an exception.", ["pending", "failed"], [], 60.0),
        ("An HTTP 502, then a connection reset: both attempts are retried.", ["success"], faults, 60.0),
        ("The cardholder does nothing, and the service waits for 2 seconds only.", ["pending"], [], 2.0),
    ]
    try:
        with SimulatedGateway() as gateway, gateway.client() as wonder:
            console.print(f"A simulator that verifies every signature runs at [bold]{gateway.base_url}[/bold].")
            console.print("Its key is new and is thrown away at the end.")
            for title, states, story_faults, timeout in stories:
                token = gateway.add_token(states=states)
                for fault in story_faults:
                    gateway.inject(fault, token=token)
                console.print(
                    f"\n[bold]{title}[/bold]\n[dim]wait_for_token('…{token[-4:]}', timeout={timeout:g})[/dim]"
                )
                progress = Progress(console)
                try:
                    progress.line(wonder.wait_for_token(token, timeout=timeout, on_poll=progress.on_poll))
                except StillPendingError as error:
                    progress.row("", Text(f"StillPendingError: {error}", style="yellow"))
            requests = gateway.requests
        rejected = sum(request.verdict.rejection is not None for request in requests)
        console.print(
            f"\nThe simulator received {len(requests)} requests, each with its own signature, and rejected {rejected}."
        )
    finally:
        logger.removeHandler(log)


class _Log(logging.Handler):
    """Prints the library's warnings between the lines of the demo."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().split(" (request id")[0]
        self._console.print(f"         {record.name}: {text}", style="dim")
