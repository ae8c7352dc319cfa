"""SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Kind, caller_of, for_all_transports, for_both_clients, key
from faults.servers import VERIFIED, a_server, authority, environment, good_tls, trusted
from proxies import ORIGIN
from wonder_payment import ConfigurationError, NetworkError
from wonder_payment._http.environment import certificates
from wonder_payment.simulator import SimulatedGateway


@for_both_clients
@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file or directory"), ("no PEM", "expected the path of a PEM file with certificates")],
)
def test_certificates_that_cannot_be_read_are_an_error_of_the_client(
    kind: Kind, content: str | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "certificates.pem"
    if content:
        file.write_text(content)
    with environment(SSL_CERT_FILE=str(file)), pytest.raises(ConfigurationError) as caught:
        kind("app", key(), environment="sandbox")
    assert caught.value.args == (f"SSL_CERT_FILE cannot be used: {problem}.",)


@for_both_clients
def test_a_folder_of_certificates_that_does_not_exist_is_an_error_of_the_client(kind: Kind, tmp_path: Path) -> None:
    missing, file = str(tmp_path / "missing"), tmp_path / "file"
    file.touch()
    for folders in (missing, str(file), os.pathsep.join([missing, str(file)])):
        with environment(SSL_CERT_DIR=folders), pytest.raises(ConfigurationError, match=r"^SSL_CERT_DIR must be"):
            kind("app", key(), environment="sandbox")
    with environment(SSL_CERT_DIR=os.pathsep.join([missing, str(tmp_path)])):
        assert certificates(ORIGIN).get_ca_certs() == []
    with trusted(SSL_CERT_DIR=missing):
        assert len(certificates(ORIGIN).get_ca_certs()) == 1


def test_a_key_log_is_not_written(tmp_path: Path) -> None:
    with environment(SSLKEYLOGFILE=str(tmp_path / "keys")):
        assert certificates(ORIGIN).keylog_filename is None
    with (
        environment(SSLKEYLOGFILE=str(tmp_path / "missing" / "keys")),
        pytest.raises(ConfigurationError, match=r"^SSLKEYLOGFILE cannot be used: No such file or directory\."),
    ):
        certificates(ORIGIN)


def test_certificates_are_those_of_the_environment() -> None:
    with authority().cert_pem.tempfile() as file, environment(SSL_CERT_FILE=file):
        assert len(certificates(ORIGIN).get_ca_certs()) == 1
    with environment():
        assert len(certificates(ORIGIN).get_ca_certs()) > 1


def test_plain_http_reads_no_certificates() -> None:
    with environment(SSL_CERT_FILE="/nonexistent"):
        assert certificates("http://127.0.0.1:8080").get_ca_certs() == []


@for_all_transports
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment_apply_to_a_gateway_on_loopback(
    gateway: SimulatedGateway, name: str, host: str, variable: str, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(file)
    place = tmp_path if variable == "SSL_CERT_DIR" else file
    # OpenSSL finds a certificate in a folder by the hash of its subject.
    subprocess.run(["openssl", "rehash", tmp_path], check=True)  # noqa: S607
    with a_server(good_tls(host), None) as port:
        base_url = f"https://{host}:{port}"
        with environment(**{variable: str(place)}, HTTPS_PROXY="http://127.0.0.1:1"):
            assert caller_of(name, gateway, base_url=base_url).check(VERIFIED).is_verified
        with (
            environment(),
            pytest.raises(NetworkError, match="unable to get local issuer certificate"),
        ):
            caller_of(name, gateway, base_url=base_url).check(VERIFIED)
