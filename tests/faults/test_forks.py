"""One client in a process and in its forked children."""

from faults.programs import needs_fork, run
from wonder_payment.simulator import SimulatedGateway


@needs_fork
def test_a_client_used_before_a_fork_works_in_parent_and_children_at_once(gateway: SimulatedGateway) -> None:
    program = """
wonder = WonderClient.from_env(retry=ONCE)
check(wonder)
children = [fork(lambda: check(wonder, times=5)) for _ in range(4)]
check(wonder, times=5)
join(children)
check(wonder)
"""
    run(gateway, program)
    assert len(gateway.requests) == (1 + 5 * 4 + 5 + 1) * 4
    assert len({request.nonce for request in gateway.requests}) == len(gateway.requests)


@needs_fork
def test_a_client_first_used_by_children_works_in_all_processes(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = WonderClient.from_env(retry=ONCE)
join([fork(lambda: check(wonder)), fork(lambda: check(wonder))])
check(wonder)
""",
    )


@needs_fork
def test_a_child_that_closes_the_client_does_not_close_its_parents(gateway: SimulatedGateway) -> None:
    program = """
wonder = WonderClient.from_env(retry=ONCE)
check(wonder)

def close_unused():
    wonder.close()

def use_and_close():
    with wonder:
        check(wonder)
    try:
        wonder.check_token(TOKENS[0])
    except WonderError as error:
        assert "closed" in str(error)
    else:
        sys.exit("open")

for work in (close_unused, use_and_close):
    join([fork(work)])
    check(wonder)
"""
    run(gateway, program)


@needs_fork
def test_a_client_works_in_grandchildren(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = WonderClient.from_env(retry=ONCE)
check(wonder)

def child():
    check(wonder)
    children = [fork(lambda: check(wonder)), fork(lambda: check(wonder))]
    check(wonder)
    join(children)

join([fork(child)])
""",
    )


@needs_fork
def test_an_async_client_used_before_a_fork_works_in_parent_and_children_at_once(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = AsyncWonderClient.from_env(retry=ONCE)
asyncio.run(check_async(wonder))
children = [fork(lambda: asyncio.run(check_async(wonder, TOKENS * 3))) for _ in range(4)]
asyncio.run(check_async(wonder, TOKENS * 3))
join(children)
""",
    )


@needs_fork
def test_a_batch_works_in_a_child_that_is_forked_between_two_results_of_another_one(gateway: SimulatedGateway) -> None:
    program = """
wonder = WonderClient.from_env(retry=ONCE)

def check_all():
    assert sorted(result.token.card.last4 for result in wonder.check_tokens(TOKENS)) == sorted(CARDS.values())

results = wonder.check_tokens(TOKENS * 5, concurrency=1)
next(results)
children = [fork(check_all) for _ in range(4)]
assert len(list(results)) == 4 * 5 - 1
join(children)
"""
    run(gateway, program)
