"""How ``shudao quarantine`` shows what was refused: as tables, as JSON, payloads as text."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ingest.quarantine.replay import Replayed
from ingest.quarantine.rows import Count, Row
from ingest.reasons import ADVICE, Reason
from shudao.cli.payload_view import printable, readable
from shudao.vocabulary import CARRIER_IDS, FOREIGN_CARRIER

WIDTH = 140
NONE = "–"
_CARRIERS = {0: "unknown", FOREIGN_CARRIER: "foreign"} | {i: n for n, i in CARRIER_IDS.items()}


def show_list(rows: list[Row], counts: list[Count], *, with_rows: bool) -> None:
    """Print the counts, below them the rows."""
    _print(_counts_table(counts))
    if not with_rows:
        return
    table = Table(
        Column("id", justify="right", no_wrap=True), Column("last came (UTC)", no_wrap=True),
        Column("times", justify="right"), "carrier", "stream", Column("device", overflow="fold"),
        Column("reason", no_wrap=True), Column("what is wrong → what to do", overflow="fold"),
        box=SIMPLE, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for row in rows:
        table.add_row(
            str(row.id), _moment(row.last_received), f"{row.times:,}", _carrier(row.carrier_id),
            _cell(row.stream), _cell(row.device), row.reason, _cell(row.detail),
        )  # fmt: skip
    _print(table)
    if more := sum(c.rows for c in counts) - len(rows):
        print(f"… and {more:,} more: --limit, or filters, show them")


def _counts_table(counts: Iterable[Count]) -> Table:
    table = Table(
        "carrier", "reason", Column("kept", justify="right"), Column("times", justify="right"),
        "newest (UTC)", box=SIMPLE, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for c in counts:
        table.add_row(
            _carrier(c.carrier_id), c.reason, f"{c.rows:,}", f"{c.times:,}", _moment(c.newest)
        )
    return table


def list_as_json(rows: list[Row], counts: list[Count], *, with_rows: bool) -> str:
    """Counts and rows for machines; ``total`` is of all that match."""
    told: dict[str, Any] = {
        "total": sum(c.rows for c in counts),
        "counts": [_named(asdict(c)) for c in counts],
    }
    if with_rows:
        told["rows"] = [_named(asdict(row)) for row in rows]
    return _json(told)


def show_one(row: Row, payload: bytes) -> None:
    """Print one row and its payload."""
    what, arrow, advice = row.detail.rpartition(" → ")
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    first = f", first {_moment(row.received)}" if row.received != row.last_received else ""
    for name, value in (
        ("reason", row.reason),
        ("wrong", what if arrow else row.detail),
        ("to do", advice if arrow else _advice(row.reason)),
        ("came", f"{_moment(row.last_received)} UTC{first}; {_times(row.times)}, by {row.origin}"),
        ("topic", row.topic),
        ("carrier", _carrier(row.carrier_id)),
        ("stream", row.stream or NONE),
        ("device", row.device or NONE),
        ("payload", f"{row.bytes:,} bytes, {row.content_type or 'no content type stated'}"),
    ):
        table.add_row(Text(name, style="dim"), _cell(value))
    _print(table)
    print(readable(payload))


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times:,} times"


def _advice(reason: str) -> str:
    return ADVICE[Reason(reason)] if reason in set(Reason) else NONE


def one_as_json(row: Row, payload: bytes) -> str:
    """One row for machines: the payload in base64, and as text where it is text."""
    try:
        text: str | None = payload.decode()
    except UnicodeDecodeError:
        text = None
    return _json(
        {
            **_named(asdict(row)),
            "advice": _advice(row.reason),
            "payload_base64": base64.b64encode(payload).decode(),
            "payload_text": text,
        }
    )


def show_replayed(replayed: Replayed, dry_run: bool) -> None:
    """Print what became of the rows, and of the samples in them."""
    left_alone = replayed.imported + replayed.cut_off
    if not replayed.rows and not left_alone:
        print("nothing in quarantine matches: nothing to replay")
        return
    samples = replayed.samples
    table = Table("replayed" if not dry_run else "replayed, nothing written",
                  Column(f"{replayed.rows:,}", justify="right"))  # fmt: skip
    table.add_row("would leave quarantine" if dry_run else "left quarantine", f"{replayed.left:,}")
    if dry_run:
        table.add_row("samples valid now", f"{samples.stored:,}")
    else:
        table.add_row("samples stored", f"{samples.stored:,}")
        table.add_row("samples there already", f"{samples.duplicates:,}")
    for reason, count in replayed.refused.most_common():
        table.add_row(f"refused again: {reason}", f"{count:,}")
    for reason, count in samples.quarantined.most_common():
        table.add_row(f"parts of messages, refused: {reason}", f"{count:,}")
    if replayed.imported:
        table.add_row("left alone: import the file again", f"{replayed.imported:,}")
    if replayed.cut_off:
        table.add_row("left alone: the payload was cut off", f"{replayed.cut_off:,}")
    table.add_row("rows per second", f"{_rate(replayed):,}")
    _print(table)
    if not replayed.complete:
        print("Stopped before the end. Run it again to go on.")


def replayed_as_json(replayed: Replayed, dry_run: bool) -> str:
    """The same for machines; ``stored`` of a dry run counts valid samples, new or not."""
    samples = replayed.samples
    return _json(
        {
            "dry_run": dry_run, "complete": replayed.complete, "replayed": replayed.rows,
            "left_quarantine": replayed.left, "stored": samples.stored,
            "duplicates": samples.duplicates, "refused": dict(replayed.refused),
            "parts_refused": dict(samples.quarantined), "left_alone_imported": replayed.imported,
            "left_alone_cut_off": replayed.cut_off, "seconds": round(replayed.seconds, 3),
            "rows_per_second": _rate(replayed),
        }
    )  # fmt: skip


def _rate(replayed: Replayed) -> int:
    return round(replayed.rows / max(replayed.seconds, 1e-9))


def _carrier(number: int) -> str:
    return _CARRIERS.get(number, str(number))


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    fields["carrier"] = _carrier(fields.pop("carrier_id"))
    return fields


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _cell(value: str) -> Text:
    """Text from outside: no markup, and nothing that a terminal would obey."""
    return Text(printable(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=datetime.isoformat)


def _print(table: Table) -> None:
    console = Console()
    # A pipe has no width: take what the table needs.
    (console if console.is_terminal else Console(width=WIDTH)).print(table)
