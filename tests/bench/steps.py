"""How fast samples become committed numbers, step by step, as ratios to a plain raw insert.

    python -m tests.bench.steps --samples 200000 --batch 20000     # on the private services

The whole path, broker included, is measured by `shudao bench ingest` (make bench). Each step here
handles the same samples, in batches; the baseline is asyncpg's own ``copy_records_to_table`` into
the raw table alone: no check, no roll-ups, no duplicates. Machines are noisy: read the last
column, not the rates.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import numpy as np

from ingest import journal
from ingest.batch import Batch, Checked, Message
from ingest.check import Limits, check
from ingest.decode import decode
from ingest.directory import Directory
from ingest.ledger import to_datetime
from ingest.merge import Merger
from ingest.rollup import by_hour, by_minute
from ingest.statements import sample_columns
from ingest.writer import Writer
from shudao.database.migrate import migrate
from shudao.local import down, status, up
from shudao.settings import get_settings
from shudao.streams import RADIO, topic

PLACES, PER_MESSAGE = 20_000, 24
DATABASE = "shudao_bench"


@dataclass(slots=True)
class Clock:
    """Seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def messages(samples: int, now_ms: int) -> list[Message]:
    """One message a device: a stored history of 24 samples over three days, as sensors send."""
    random = np.random.default_rng(2018)
    made = []
    for device in range(samples // PER_MESSAGE):
        at = now_ms - np.sort(random.integers(0, 3 * 86_400_000, PER_MESSAGE))
        rsrp, sinr = random.normal(-98, 8, PER_MESSAGE), random.normal(6, 5, PER_MESSAGE)
        objects = [
            {"time": int(t), "rsrp_dbm": round(float(r), 1), "sinr_db": round(float(s), 1),
             "ecl": 0, "pci": 101, "earfcn": 2506}
            for t, r, s in zip(at, np.clip(rsrp, -140, -44), np.clip(sinr, -20, 30), strict=True)
        ]  # fmt: skip
        name = f"bench-{device % PLACES}-{device // PLACES}"
        made.append(Message(topic("telecom", "radio", name), msgspec.json.encode(objects), now_ms))
    return made


async def drop(server: str) -> None:
    """Remove what a run made."""
    connection = await asyncpg.connect(server)
    await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await connection.close()


async def prepare(server: str) -> str:
    """A fresh database with as many places and devices as the messages need."""
    await drop(server)
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.close()
    url = urlunsplit(urlsplit(server)._replace(path=f"/{DATABASE}"))
    await asyncio.to_thread(migrate, url)
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO place (kind, vintage, division, county, code, name, coord_source, source)"
        " SELECT 'village', '2018-10-31', 510100 + i % 183, 510100 + i % 183, i, i, 'synthetic',"
        f" 'bench' FROM generate_series(0, {PLACES - 1}) i"
    )
    await connection.execute(
        "INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)"
        " SELECT 'bench-' || i || '-' || j, 1, i + 1, 1, 'sensor', 'bench'"
        f" FROM generate_series(0, {PLACES - 1}) i, generate_series(0, 9) j"
    )
    await connection.close()
    return url


async def measure(url: str, samples: int, size: int) -> dict[str, float]:
    """Seconds by step."""
    clock, connection = Clock(), await asyncpg.connect(url)
    now_ms = time.time_ns() // 1_000_000
    sent = messages(samples, now_ms)
    per_batch = max(size // PER_MESSAGE, 1)
    batches = [sent[i : i + per_batch] for i in range(0, len(sent), per_batch)]
    directory, writer = Directory(), Writer(connection)
    checked: list[Checked] = []
    for batch in batches:
        with clock.step("decode"):
            decoded, refused = decode(batch, {})
        assert not refused
        await directory.refresh(connection)
        devices = await directory.devices(connection, decoded[0].device)
        with clock.step("check"):
            good, _ = check(decoded[0], devices, now_ms, Limits(None, None))
        with clock.step("pack for the journal"):
            entry = journal.pack(good)
        with clock.step("roll up, in memory"):
            rows = journal.unpack("radio", entry)
            by_minute("radio", rows)
            by_hour("radio", rows)
        checked.append(good)
    await timed(clock, "raw insert (baseline)", checked, lambda c: raw_insert(connection, c))
    await connection.execute("TRUNCATE radio_sample")
    write: Callable[[Checked], Awaitable[Any]] = lambda c: writer.write(Batch([c]), "bench")  # noqa: E731
    await timed(clock, "write", checked, write)
    with clock.step("merge into the roll-ups"):
        await Merger(connection).merge_all()
    await timed(clock, "write again: duplicates", checked, write)
    await connection.close()
    return clock.seconds


async def timed(
    clock: Clock, name: str, checked: list[Checked], action: Callable[[Checked], Awaitable[Any]]
) -> None:
    """Run an action on each batch, on the clock."""
    for c in checked:
        with clock.step(name):
            await action(c)


async def raw_insert(connection: asyncpg.Connection[Any], checked: Checked) -> None:
    """The baseline: rows as tuples, through asyncpg's own encoder."""
    rows = checked.rows
    columns: list[list[Any]] = [[to_datetime(t) for t in rows["time_ms"].tolist()]]
    for name in sample_columns(RADIO)[1:]:
        values = rows[name].tolist()
        columns.append([None if v != v or v == -1 else v for v in values])
    await connection.copy_records_to_table(
        "radio_sample", records=zip(*columns, strict=True), columns=sample_columns(RADIO)
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=20_000)
    options = parser.parse_args()
    settings = get_settings()
    ran_before = any(s.running for s in status(settings.home))
    server = settings.database_url or up(settings.home).database_url
    url = asyncio.run(prepare(server))
    seconds = asyncio.run(measure(url, options.samples, options.batch))
    asyncio.run(drop(server))
    if not settings.database_url and not ran_before:
        down(settings.home)
    baseline = seconds["raw insert (baseline)"]
    print(f"{options.samples:,} samples in batches of {options.batch:,}")
    for name, taken in seconds.items():
        print(f"{name:<26} {options.samples / taken:>12,.0f}/s {baseline / taken:>8.2f} ×")


if __name__ == "__main__":
    main()
