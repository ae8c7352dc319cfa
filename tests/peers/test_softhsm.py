"""The signer of the guide with a key in SoftHSM 2, a PKCS#11 module, which the key never leaves."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pkcs11
import pytest
from batches import add_verified, batch, check_all, verified
from commands import VERIFIED
from conftest import TRANSPORTS, Caller, caller_of
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11.util.rsa import encode_rsa_public_key
from wonder_payment import RetryPolicy, SigningError
from wonder_payment.simulator import SimulatedGateway

from examples.pkcs11_signer import PKCS11Signer, lock, main, open_key

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
TOKEN, PIN, KEY = "shop", "1234", "wonder"
SETTINGS = "directories.tokendir = {folder}\nobjectstore.backend = file\nlog.level = ERROR\n"


def initialise(*token: str) -> None:
    command = ["softhsm2-util", "--init-token", *token, "--label", TOKEN, "--pin", PIN, "--so-pin", "5678"]
    subprocess.run(command, check=True, capture_output=True)


@attrs.frozen(eq=False)
class PublicHalf:
    """Stands for the simulator's private key, which only SoftHSM has."""

    key: Any

    def public_key(self) -> Any:
        return self.key


@attrs.define(eq=False)
class Signer(PKCS11Signer):
    """Counts its calls."""

    _key: pkcs11.PrivateKey
    calls: int = 0

    def sign(self, message: bytes) -> bytes:
        self.calls += 1
        return super().sign(message)

    def close_session(self) -> None:
        with lock:
            self._key.session.close()


@pytest.fixture
def public_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a token with a key, and return its public half."""
    if shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2-util is not installed")
    settings, folder = tmp_path / "softhsm2.conf", tmp_path / "tokens"
    folder.mkdir()
    settings.write_text(SETTINGS.format(folder=folder))
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    initialise("--free")
    with pkcs11.lib(MODULE).get_token(token_label=TOKEN).open(user_pin=PIN, rw=True) as session:
        public, _ = session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label=KEY)
        encoded = encode_rsa_public_key(public)
    yield load_der_public_key(encoded)
    pkcs11.unload(MODULE)


@pytest.fixture
def gateway(public_key: Any) -> Iterator[SimulatedGateway]:
    private_key: Any = PublicHalf(public_key)
    with SimulatedGateway(private_key=private_key) as gateway:
        yield gateway


@pytest.fixture
def signer(public_key: Any) -> Signer:  # noqa: ARG001 (the key must be there)
    return Signer(open_key(MODULE, TOKEN, PIN, KEY))


@pytest.fixture(params=TRANSPORTS)
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway, signer: Signer) -> Caller:
    caller = caller_of(request.param, gateway)
    caller.settings["private_key"] = signer
    return caller


def test_the_gateway_accepts_the_signatures_of_many_checks_in_flight(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = add_verified(gateway, 200)
    assert verified(check_all(caller, tokens, concurrency=64)) == sorted(tokens)
    assert {request.verdict.rejection for request in gateway.requests} == {None}


@pytest.mark.parametrize(
    "lose",
    [Signer.close_session, lambda _: initialise("--token", TOKEN)],
    ids=["session closed", "token reinitialised"],
)
def test_a_lost_session_ends_a_batch_with_a_signing_error_and_nothing_more_is_sent(
    caller: Caller, gateway: SimulatedGateway, signer: Signer, lose: Callable[[Signer], None]
) -> None:
    tokens = add_verified(gateway, 20)
    with batch(caller, tokens, concurrency=4) as results:
        assert len(verified([next(results) for _ in range(4)])) == 4
        lose(signer)
        with pytest.raises(SigningError) as caught:
            list(results)
    assert isinstance(caught.value.__cause__, pkcs11.PKCS11Error)
    assert len(gateway.requests) < 20
    # Another token and another object, because requests and signatures of the batch may still be in flight.
    [token], signer = add_verified(gateway, 1), attrs.evolve(signer, calls=0)
    with pytest.raises(SigningError) as caught:
        caller.check(token, private_key=signer, retry=RetryPolicy())
    assert (signer.calls, caught.value.attempts) == (1, 0)
    assert token not in [request.token for request in gateway.requests]


def test_the_example_checks_a_token(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"WONDER_APP_ID": gateway.app_id, "WONDER_BASE_URL": gateway.base_url}
    environ |= {"PKCS11_MODULE": MODULE, "PKCS11_TOKEN": TOKEN, "PKCS11_PIN": PIN, "PKCS11_KEY": KEY}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    main()
    assert (capsys.readouterr().out, gateway.requests[0].token) == ("success\n", VERIFIED)
