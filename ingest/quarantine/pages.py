"""The rows that a replay goes through, page by page, and what it writes back: one transaction each.

What this module promises: a row leaves quarantine in the very transaction that commits what it
holds. Whatever dies at whatever moment, a sample is in quarantine or in the raw tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg

from ingest.batch import Batch, Message, Refusal
from ingest.quarantine.selection import Selection
from ingest.quarantine.verdict import Kept, Verdict
from ingest.reasons import ADVICE, Reason
from ingest.receipt import Receipt
from ingest.writer import Writer, text

ORIGIN = "replay"
"""What the ledger calls samples that a replay stored."""
CUT_BYTES = 65_536
"""A payload that the database refused is kept up to here (`ingest.ingester`)."""

IMPORTED = "origin = 'import'"
"""Lines of a file: no message; the file is imported again."""
CUT_OFF = f"reason = '{Reason.UNSTORABLE.value}' AND octet_length(payload) = {CUT_BYTES}"
"""What is left of a payload cannot stand for the whole."""
_WHOLE = f"NOT ({IMPORTED}) AND NOT ({CUT_OFF})"

PAGE_ROWS, PAGE_BYTES = 1_000, 16_000_000

_REFUSE_AGAIN = """
UPDATE quarantine AS q SET reason = n.reason, detail = n.detail, carrier_id = n.carrier_id,
    stream = n.stream, device = n.device
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::text[])
    AS n (quarantine_id, reason, detail, carrier_id, stream, device)
WHERE q.quarantine_id = n.quarantine_id AND (q.reason, q.detail, q.carrier_id, q.stream, q.device)
    IS DISTINCT FROM (n.reason, n.detail, n.carrier_id, n.stream, n.device)
"""


_LAST_ENTRY = "SELECT coalesce(max(journal_id), 0) FROM rollup_journal"
_WAITS = "SELECT EXISTS (SELECT FROM rollup_journal WHERE journal_id <= $1)"


class Extent(NamedTuple):
    """What a selection holds before a replay begins."""

    last: int
    """Rows that come later are not its business, those that it makes itself among them."""
    rows: int
    """That can be replayed."""
    imported: int
    cut_off: int


class Pages:
    """Reads and settles rows through one connection, which it does not own."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._writer = Writer(connection)
        self._is_ready = False

    async def extent(self, selection: Selection) -> Extent:
        """How many rows there are, and the newest of them."""
        where, parameters = selection.sql()
        found = await self._connection.fetchrow(
            f"SELECT coalesce(max(quarantine_id), 0), count(*) FILTER (WHERE {_WHOLE}),"
            f" count(*) FILTER (WHERE {IMPORTED}),"
            f" count(*) FILTER (WHERE {CUT_OFF} AND NOT ({IMPORTED}))"
            f" FROM quarantine WHERE {where}",
            *parameters,
        )
        assert found is not None, "an aggregate has a row"
        return Extent(*found)

    async def after(self, selection: Selection, position: int, last: int) -> list[Kept]:
        """The next rows by id, at most `PAGE_ROWS` of them and `PAGE_BYTES` (but at least one)."""
        where, parameters = selection.sql(position, last)
        found = await self._connection.fetch(
            "SELECT quarantine_id, digest, topic, payload, content_type, received FROM ("
            " SELECT *, sum(octet_length(payload)) OVER (ORDER BY quarantine_id)"
            "  - octet_length(payload) AS bytes_before FROM ("
            f"  SELECT * FROM quarantine WHERE quarantine_id > $1 AND quarantine_id <= $2"
            f"   AND {_WHOLE} AND {where} ORDER BY quarantine_id LIMIT {PAGE_ROWS}) AS page"
            f") AS measured WHERE bytes_before < {PAGE_BYTES} ORDER BY quarantine_id",
            *parameters,
        )
        return [
            Kept(
                r["quarantine_id"],
                r["digest"],
                Message(
                    r["topic"], r["payload"], round(r["received"].timestamp() * 1000),
                    r["content_type"],
                ),
            )
            for r in found
        ]  # fmt: skip

    async def settle(self, batch: Batch, verdict: Verdict) -> Receipt:
        """Store the valid samples, let their rows leave, bring the others up to date.

        Raises asyncpg's errors; then nothing happened.
        """
        if not self._is_ready:
            # The writer's temporary tables, which a transaction rolled back would take along.
            await self._writer.write(Batch(), ORIGIN)
            self._is_ready = True
        async with self._connection.transaction():
            receipt = await self._writer.write(Batch(batch.checked, verdict.parts), ORIGIN)
            await self._connection.execute(
                "DELETE FROM quarantine WHERE quarantine_id = ANY($1::bigint[])", verdict.leave
            )
            await self.refuse_again(verdict.stay)
        return receipt

    async def refuse_again(self, stay: list[tuple[int, Refusal]]) -> None:
        """Keep rows, with the reasons that hold now."""
        await self._connection.execute(
            _REFUSE_AGAIN,
            [quarantine_id for quarantine_id, _ in stay],
            [r.reason.value for _, r in stay],
            [text(f"{r.detail} → {ADVICE[r.reason]}") for _, r in stay],
            [r.carrier_id for _, r in stay],
            [text(r.stream) for _, r in stay],
            [text(r.device) for _, r in stay],
        )
