"""Clients that nobody closes are quiet, and leave no file descriptor open."""

import pytest
from faults.programs import run
from wonder_payment.simulator import SimulatedGateway

UNCLOSED = """
class Service:
    pass

def drop():
    wonder = {made}
    {use}

def drop_in_a_cycle():
    service = Service()
    service.itself, service.wonder = service, {made}
    wonder = service.wonder
    {use}

drop()
drop_in_a_cycle()
gc.collect()
never_used = {made}
wonder = {made}
{use}
"""


@pytest.mark.parametrize("flags", [(), ("-X", "dev", "-W", "error")], ids=["by default", "-X dev -W error"])
def test_clients_that_nobody_closes_are_quiet_when_dropped_and_at_exit(
    gateway: SimulatedGateway, flags: tuple[str, ...]
) -> None:
    run(gateway, UNCLOSED.format(made="WonderClient.from_env(retry=ONCE)", use="check(wonder)"), *flags)


def test_async_clients_that_nobody_closes_are_quiet_when_dropped_and_at_exit(gateway: SimulatedGateway) -> None:
    use = "asyncio.run(check_async(wonder))"
    run(gateway, UNCLOSED.format(made="AsyncWonderClient.from_env(retry=ONCE)", use=use))


def test_an_async_client_dropped_while_its_loop_runs_is_quiet(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
async def main():
    wonder = AsyncWonderClient.from_env(retry=ONCE)
    await check_async(wonder)
    del wonder
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)  # let the loop close it

asyncio.run(main())
""",
    )


DROPPING = {
    "a client": "check(WonderClient.from_env(retry=ONCE, private_key=key), TOKENS[:1])",
    "an async client": "asyncio.run(check_async(AsyncWonderClient.from_env(retry=ONCE, private_key=key), TOKENS[:1]))",
    "the loops of one async client": "asyncio.run(check_async(lasting, TOKENS[:1]))",
}


@pytest.mark.parametrize("step", DROPPING.values(), ids=DROPPING)
def test_50_clients_or_loops_leave_no_file_descriptor_open(gateway: SimulatedGateway, step: str) -> None:
    program = f"""
from wonder_payment.signing import load_private_key
key = load_private_key(os.environ.pop("WONDER_PRIVATE_KEY").replace("\\\\n", "\\n"))
lasting = AsyncWonderClient.from_env(retry=ONCE, private_key=key)
{step}
before = descriptors()
for _ in range(50):
    {step}
print(descriptors() - before)
"""
    (growth,) = run(gateway, program)
    assert int(growth) <= 0
