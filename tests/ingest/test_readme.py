"""ingest/README.md says what the code does: examples, reasons, settings, metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import asyncpg

import ingest
from ingest.batch import Message
from ingest.check import Limits
from ingest.ingester import Ingester
from ingest.metrics import Metrics
from ingest.reasons import ADVICE
from shudao.settings import Settings
from shudao.vocabulary import CARRIER_IDS
from tests.ingest.conftest import now_ms

README = Path(ingest.__path__[0], "README.md").read_text(encoding="utf-8")
SENDERS = {"nb-510104-0007": "telecom", "probe-17": "mobile", "nb-1": "unicom"}


async def test_the_examples_are_stored(
    connection: asyncpg.Connection[Any], database_url: str
) -> None:
    """Each payload, sent as it stands there, from registered devices."""
    blocks = re.findall(r"^    (shudao/v1/\S+)\n((?:    .+\n)+)", README, re.M)
    assert len(blocks) >= 3
    await connection.executemany(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " VALUES ($1, $2, 1, 'sensor', 'registered')",
        [(name, CARRIER_IDS[carrier]) for name, carrier in SENDERS.items()],
    )
    samples = sum(
        len(sent) if isinstance(sent := json.loads(payload), list) else 1 for _, payload in blocks
    )
    ingester = Ingester(database_url, origin="mqtt", limits=Limits(None, None))
    receipt = await ingester.store_messages(
        [Message(topic, payload.encode(), now_ms()) for topic, payload in blocks]
    )
    await ingester.aclose()
    assert (receipt.stored, receipt.quarantined) == (samples, {})


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
