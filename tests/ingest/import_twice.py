"""Import files into a database of their own, twice, and fingerprint what it then holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ingest.recorded.importer import Imported, Importer
from ingest.recorded.load import load_profile
from shudao.database.migrate import migrate
from tests.conftest import with_database

DATA = Path(__file__).parents[1] / "data" / "recorded"
VINTAGE = "2018-10-31"
COUNTED = (
    "coverage_hour", "coverage_minute", "device_seen", "device", "radio_sample",
    "broadband_sample", "quarantine",
)  # fmt: skip


def import_once(url: str, path: Path | str, profile: str, **options: Any) -> Imported:
    """One import, as the command does it."""
    importer = Importer(str(path), load_profile(profile), **options)
    return asyncio.run(importer.run(url, VINTAGE))


def fingerprint(url: str) -> dict[str, str | None]:
    """A checksum of every row of each table that an import writes, the ledger apart."""
    sums = {}
    for table in COUNTED:
        query = f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) sum FROM {table} t"
        sums[table] = rows_of(url, query)[0]["sum"]
    return sums


def rows_of(url: str, query: str, *values: Any) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query, values).fetchall()


@dataclass(frozen=True)
class Twice:
    """Receipts by file name, and fingerprints, of a first and a second import."""

    url: str
    first: dict[str, Imported]
    second: dict[str, Imported]
    after_first: dict[str, str | None]
    after_second: dict[str, str | None]


def counts(imported: Imported) -> dict[str, int]:
    """The numbers of a receipt, reasons included."""
    receipt = imported.receipt
    return {
        "read": receipt.received,
        "stored": receipt.stored,
        "duplicates": receipt.duplicates,
        **receipt.quarantined,
    }


@contextmanager
def imported_twice(server: str, profile: str, *paths: Path) -> Iterator[Twice]:
    """Import the files into a fresh database, and then all of them again."""
    name = f"shudao_import_{profile}_{os.getpid()}"
    url = with_database(server, name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            migrate(url)
            _widen_chunks(url)
            first = {p.name: import_once(url, p, profile) for p in paths}
            after_first = fingerprint(url)
            second = {p.name: import_once(url, p, profile) for p in paths}
            yield Twice(url, first, second, after_first, fingerprint(url))
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _widen_chunks(url: str) -> None:
    """Years of recordings would make thousands of daily chunks, at 20 ms each; no count cares."""
    with psycopg.connect(url) as connection:
        for table in ("radio_sample", "broadband_sample", "coverage_minute", "coverage_hour"):
            connection.execute("SELECT set_chunk_time_interval(%s, INTERVAL '1 year')", (table,))
