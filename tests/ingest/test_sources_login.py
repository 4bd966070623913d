"""Sources on a real mosquitto with TLS, user and password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
import trustme

from ingest.sources import Source, SourceOptions
from shudao.errors import ShudaoError
from tests.ingest.brokers import Mosquitto, mosquitto
from tests.ingest.reading import SOURCES, Reader, payloads, reading


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mosquitto]:
    """Only TLS, with a certificate of an authority that only this test trusts; user ann, bä:rn."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", tmp_path / "passwords", "ann", "bä:rn"], check=True
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    settings = "\n".join(
        [
            f"certfile {tmp_path}/server.pem",
            f"keyfile {tmp_path}/server.pem",
            "allow_anonymous false",
            f"password_file {tmp_path}/passwords",
        ]
    )
    with mosquitto(tmp_path, settings) as running:
        yield running


def make(kind: str, url: str) -> Source:
    return SOURCES[kind](SourceOptions(url=url, client_id="tls", topic="t/#", batch_ms=50))


@pytest.mark.parametrize("kind", SOURCES)
async def test_messages_come_over_tls_with_user_and_password(
    kind: str, broker: Mosquitto, tmp_path: Path
) -> None:
    """Many small ones and one that takes many TLS records."""
    source = make(kind, f"mqtts://ann:b%C3%A4%3Arn@localhost:{broker.port}")
    sent = [b"%d" % i for i in range(200)] + [b"x" * 2**20]
    async with reading(source) as reader:
        async with aiomqtt.Client(
            "localhost", broker.port, username="ann", password="bä:rn",
            tls_params=aiomqtt.TLSParameters(ca_certs=str(tmp_path / "ca.pem")),
        ) as sender:  # fmt: skip
            for payload in sent:
                await sender.publish("t/a", payload, qos=1)
        assert payloads(await reader.receive(len(sent))) == sent


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_wrong_password_says_what_to_correct(kind: str, broker: Mosquitto) -> None:
    """And does not show it."""
    for login in ("ann:wrong@", ""):
        with pytest.raises(ShudaoError, match=r"not let .*user:password@host") as caught:
            await Reader(make(kind, f"mqtts://{login}localhost:{broker.port}")).batch()
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_certificate_of_nobody_known_is_refused(
    kind: str, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection, and the reason with it."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ShudaoError, match=r"cannot be reached.*certificate verify failed"):
        await Reader(make(kind, f"mqtts://ann:x@localhost:{broker.port}")).batch()
