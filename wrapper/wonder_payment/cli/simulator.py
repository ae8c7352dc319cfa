"""``wonder-payment simulator``: a local gateway for other programs, until Ctrl-C (extra: ``simulator``)."""

import signal
from contextlib import ExitStack
from typing import Annotated

import typer

from .output import ExitStatus, print_error

_Port = Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 takes any free port.", min=0, max=65535)]


def simulator(*, port: _Port = 0) -> None:
    """Run a local gateway until Ctrl-C. It verifies signatures and simulates 3-D Secure."""
    from wonder_payment.simulator import TEST_TOKENS, SimulatedGateway  # noqa: PLC0415 (needs another extra)

    # SIGTERM ends it like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        try:
            gateway = stack.enter_context(SimulatedGateway(port=port))
        except OSError as error:
            print_error(f"cannot use port {port} of 127.0.0.1: {error.strerror}. Choose another with --port.")
            raise typer.Exit(ExitStatus.ERROR) from None
        # Variables that the shell may already have would contradict the new ones.
        lines = ["unset WONDER_PRIVATE_KEY_FILE WONDER_PRIVATE_KEY_PASSPHRASE"]
        lines += [f"export {name}='{value}'" for name, value in gateway.environ.items()]
        lines += ["", f"# Requests and tokens: {gateway.base_url}/", "# Test tokens:"]
        lines += [f"#   {test_token.token}  {test_token.behaviour}" for test_token in TEST_TOKENS]
        typer.echo("\n".join(lines))
        try:
            signal.pause()
        except KeyboardInterrupt:
            typer.echo("# stopped")
