"""ingest/README.md says what the code does: examples, reasons, settings, metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import asyncpg

import ingest
from ingest.batch import Message
from ingest.check import Limits
from ingest.formats import FORMATS, recognise
from ingest.ingester import Ingester
from ingest.metrics import Metrics
from ingest.reasons import ADVICE
from shudao.settings import Settings
from shudao.vocabulary import CARRIER_IDS


def as_bytes(text: str, content_type: str) -> bytes:
    """A payload as it stands in the README: indented, CBOR in hexadecimal."""
    text = re.sub("^    ", "", text, flags=re.M)
    return bytes.fromhex(text) if content_type.endswith("cbor") else text.encode()


README = Path(ingest.__path__[0], "README.md").read_text(encoding="utf-8")
SENDERS = {"nb-510104-0007": "telecom", "probe-17": "mobile", "nb-1": "unicom", "nb-2": "unicom"}
EXAMPLES = [
    Message(topic, as_bytes(text, content_type), 1_735_700_000_000, content_type)
    for topic, content_type, text in re.findall(
        r"^    (shudao/v1/\S+) ?(\S*)\n((?:    .+\n)+)", README, re.M
    )
]


async def test_the_examples_are_stored(
    connection: asyncpg.Connection[Any], database_url: str
) -> None:
    """Each payload, sent as it stands there, from registered devices; each holds new samples."""
    await connection.executemany(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " VALUES ($1, $2, 1, 'sensor', 'registered')",
        [(name, CARRIER_IDS[carrier]) for name, carrier in SENDERS.items()],
    )
    ingester = Ingester(database_url, origin="mqtt", limits=Limits(None, None))
    for example in EXAMPLES:
        receipt = await ingester.store_messages([example])
        assert receipt.stored == receipt.received > 0, (example, receipt)
    await ingester.aclose()


def test_every_format_has_an_example() -> None:
    """Under its content type, which is also how it would be recognised without."""
    for form in FORMATS:
        [example] = [m for m in EXAMPLES if m.content_type in form.content_types]
        assert recognise("", example.payload) is form
    assert len([m for m in EXAMPLES if not m.content_type]) == 3


def test_every_reason_is_there_with_its_advice() -> None:
    """In the words that quarantine uses."""
    for reason, advice in ADVICE.items():
        assert f"| `{reason.value}` | {advice} |\n" in README


def test_the_settings_exist_and_have_these_defaults() -> None:
    """A renamed setting or a changed default fails here."""
    rows = re.findall(r"^\| `SHUDAO_(\w+)` \| (.+?) \|", README, re.M)
    assert len(rows) >= 11
    for name, default in rows:
        field = Settings.model_fields[name.lower()]
        assert default in (str(field.default), "none" if field.default == "" else "",
                           "of `shudao local up`" if name.endswith("_URL") else "")  # fmt: skip


class _Nothing:
    """No messages."""

    connected, reconnects, dropped, in_flight = False, 0, 0, 0


def test_the_metrics_are_all_of_them() -> None:
    """By the names that Prometheus sees."""
    families = Metrics(_Nothing()).registry.collect()  # type: ignore[arg-type]
    exported = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert set(re.findall(r"^\| `(shudao_ingest_\w+)", README, re.M)) == exported
