"""The oracle itself: it is content with a healthy database, and finds each single thing wrong."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from ingest.batch import Message
from ingest.ingester import Ingester
from tests.faults.numbered import register
from tests.faults.oracle import complaints
from tests.faults.publisher import Book
from tests.faults.traffic import Traffic

ONE = (
    "(device_id, time) IN (SELECT device_id, time FROM radio_sample ORDER BY device_id, time"
    " LIMIT 1)"
)


DAMAGES = [
    (f"DELETE FROM radio_sample WHERE {ONE}", "accepted and not stored: 1"),
    ("DELETE FROM reading", "accepted and not stored"),
    (
        f"UPDATE radio_sample SET pci = coalesce(pci, 0) + 1 WHERE {ONE}",
        "stored with other values: 1",
    ),
    (f"UPDATE radio_sample SET place_id = 1 WHERE {ONE}", "stored with other values: 1"),
    (
        "INSERT INTO radio_sample SELECT time - interval '1 day', device_id, place_id,"
        f" carrier_id, technology_id FROM radio_sample WHERE {ONE}",
        "stored and never published: 1",
    ),
    ("DELETE FROM quarantine WHERE reason = 'empty'", "poison not in quarantine"),
    (
        "UPDATE quarantine SET reason = 'malformed' WHERE reason = 'contradiction'",
        "in quarantine and never published so",
    ),
    (
        "INSERT INTO quarantine (digest, received, origin, topic, reason, detail, payload)"
        " SELECT 'twice', received, origin, topic, reason, detail, payload FROM quarantine"
        " LIMIT 1",
        "in quarantine more than once: 1",
    ),
    ("UPDATE coverage_minute SET rsrp_sum_x100 = rsrp_sum_x100 - 1", "rsrp_sum_x100 = "),
    ("UPDATE coverage_minute SET signal_bins[3] = signal_bins[3] + 1", "signal_bins = "),
    ("UPDATE coverage_hour SET radio_n = radio_n + 1", "coverage_hour differs"),
    ("UPDATE coverage_hour SET ecl1_n = ecl1_n + 1", "ecl1_n = "),
    ("UPDATE coverage_hour SET down_min = 0", "down_min = "),
    ("UPDATE coverage_hour SET ipv6_yes = ipv6_n + 1", "ipv6_yes = "),
    ("DELETE FROM coverage_hour WHERE place_id = 0", ": missing"),
    ("UPDATE coverage_minute SET county = county + 1000", ": has no samples"),
    ("ALTER TABLE coverage_hour ADD COLUMN new integer", "nobody checks: 1"),
    ("UPDATE device_seen SET samples = samples + 1", "last-seen differs"),
    ("UPDATE device_seen SET last_time = last_time + interval '1 s'", "last-seen differs"),
    ("UPDATE ingest_minute SET stored = stored + 1", "ledger: "),
    ("UPDATE ingest_minute SET received = received + 1", "ledger does not add up"),
    (
        "UPDATE ingest_minute SET quarantined = quarantined + 1, received = received + 1",
        "ledger quarantined",
    ),
    (
        "UPDATE ingest_minute SET duplicates = 0, received = stored + quarantined",
        "ledger received",
    ),
    (
        "INSERT INTO rollup_journal (stream, samples, rows) VALUES ('radio', 1, '')",
        "1 batches of the journal",
    ),
    (
        "ALTER TABLE radio_sample DROP CONSTRAINT radio_sample_device_id_time_key;"
        f" INSERT INTO radio_sample SELECT * FROM radio_sample WHERE {ONE}",
        "stored more than once: 1",
    ),
]
"""What could go wrong, in SQL, and what the oracle must say of it."""


@dataclass(frozen=True)
class Stored:
    """A database in which some traffic was stored, and the book of that traffic."""

    connection: asyncpg.Connection[Any]
    book: Book
    base_ms: int

    async def complaints(self) -> list[str]:
        return await complaints(self.connection, self.book, self.base_ms)


@pytest.fixture
async def stored(database_url: str, connection: asyncpg.Connection[Any]) -> AsyncIterator[Stored]:
    """Two windows of traffic, every poison, stored by an ingester without any fault."""
    await register(connection)
    base_ms, book = time.time_ns() // 1_000_000, Book()
    traffic = Traffic(random.Random(7), base_ms)
    envelopes = [*traffic.window(), *traffic.window(), *traffic.each_poison()]
    for envelope in envelopes:
        book.publish(envelope)
        book.accept(envelope)
    ingester = Ingester(database_url, origin="mqtt")
    await ingester.store_messages([Message(e.topic, e.payload, base_ms) for e in envelopes])
    await ingester.roll_up()
    await ingester.aclose()
    # A plan that is kept would not outlive a damage to the table itself.
    fresh = await asyncpg.connect(database_url, statement_cache_size=0)
    yield Stored(fresh, book, base_ms)
    await fresh.close()


async def test_a_healthy_database_gives_no_complaint(stored: Stored) -> None:
    """And there was something to complain about."""
    assert len(stored.book.accepted_numbers) > 300
    assert len({r.reason for r in stored.book.accepted_refusals}) >= 14
    assert await stored.complaints() == []


async def test_any_single_damage_is_found(stored: Stored) -> None:
    """Of each damage, done alone and then undone, the oracle says what it is."""
    unnoticed = {}
    for damage, complaint in DAMAGES:
        transaction = stored.connection.transaction()
        await transaction.start()
        try:
            status = await stored.connection.execute(damage)
            assert not status.endswith(" 0"), f"no row was damaged: {damage}"
            found = await stored.complaints()
        finally:
            await transaction.rollback()
        if not any(complaint in line for line in found):
            unnoticed[damage] = found
    assert unnoticed == {}
