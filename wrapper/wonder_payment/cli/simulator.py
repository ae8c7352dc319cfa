"""``wonder-payment simulator``: runs the simulator for other programs until Ctrl-C (extra: ``simulator``)."""

import json
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .output import ExitStatus, print_error

if TYPE_CHECKING:
    from wonder_payment.simulator import SimulatedGateway

_Port = Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 picks a free port.", min=0, max=65535)]
_RequiresCustomer = Annotated[
    bool, typer.Option("--requires-customer-uuid", help="Require the UUID of the token's customer in the path.")
]
_RequiresVerify = Annotated[
    bool, typer.Option("--requires-verify-uuid", help="Require the token's verify_uuid in the request.")
]
_Envelope = Annotated[
    Literal["code", "error_code"],
    typer.Option(
        help="Respond with code and message, or with error_code and error_message as on older pages.",
        metavar="code|error_code",
    ),
]
_Code = Annotated[
    Literal["0", "200", '"0"'],
    typer.Option(help='The code of a good response: 0, 200, or "0" with its quotes for a string.'),
]

_Format = Annotated[
    Literal["shell", "dotenv", "json"],
    typer.Option(
        "--format",
        help="Print the settings as shell commands, as a .env file, or as one line of JSON for programs.",
        metavar="shell|dotenv|json",
    ),
]


def simulator(
    *,
    port: _Port = 0,
    requires_customer_uuid: _RequiresCustomer = False,
    requires_verify_uuid: _RequiresVerify = False,
    envelope: _Envelope = "code",
    code: _Code = "0",
    format_: _Format = "shell",
) -> None:
    """Run a local simulator of the gateway until Ctrl-C. It verifies signatures and simulates 3-D Secure."""
    from wonder_payment.simulator import SimulatedGateway  # noqa: PLC0415 (needs another extra)

    # SIGTERM ends it like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        try:
            gateway = stack.enter_context(
                SimulatedGateway(
                    port=port,
                    requires_customer_uuid=requires_customer_uuid,
                    requires_verify_uuid=requires_verify_uuid,
                    envelope=envelope,
                    code=json.loads(code),
                )
            )
        except ValueError as error:  # options that exclude each other
            raise typer.BadParameter(f"{error}.") from None
        except OSError as error:
            print_error(f"cannot use port {port} on 127.0.0.1: {error.strerror}. Choose another port with --port.")
            raise typer.Exit(ExitStatus.ERROR) from None
        environ = gateway.environ
        if format_ == "json":
            # A program needs no escapes for the lines of the key.
            typer.echo(json.dumps({name: value.replace("\\n", "\n") for name, value in environ.items()}))
        else:
            typer.echo("\n".join([*_lines(format_, environ), *_comments(gateway)]))
        try:
            while True:
                time.sleep(3600)  # Windows has no signal.pause()
        except KeyboardInterrupt:
            if format_ != "json":
                typer.echo("# stopped")


def _lines(format_: str, environ: dict[str, str]) -> list[str]:
    assignments = [f"{name}='{value}'" for name, value in environ.items()]
    if format_ == "dotenv":
        return assignments
    # Variables that the shell may already have would contradict the new ones.
    return ["unset WONDER_PRIVATE_KEY_FILE WONDER_PRIVATE_KEY_PASSPHRASE", *(f"export {line}" for line in assignments)]


def _comments(gateway: "SimulatedGateway") -> list[str]:
    from wonder_payment.simulator import TEST_TOKENS  # noqa: PLC0415 (needs another extra)

    lines = ["", f"# Requests and tokens: {gateway.base_url}/"]
    if gateway.token_arguments:
        lines += ["# The test tokens need:"]
        lines += [f"#   --{name.replace('_', '-')} {uuid}" for name, uuid in gateway.token_arguments.items()]
    return [*lines, "# Test tokens:", *(f"#   {test.token}  {test.behaviour}" for test in TEST_TOKENS)]
