"""How the commands of ``shudao quarantine`` say which rows they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shudao.cli.moments import parse_moment
from shudao.cli.options import carrier_id
from shudao.errors import ShudaoError

if TYPE_CHECKING:
    from ingest.quarantine.selection import Selection
    from ingest.reasons import Reason

LARGEST_ID = 2**63 - 1

Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of `list`.", min=1, max=LARGEST_ID)]
Carrier = Annotated[
    str | None,
    typer.Option(
        help="Of the topic: telecom, mobile, unicom, broadnet, or unknown (none of them)."
    ),
]
ReasonNames = Annotated[
    list[str] | None, typer.Option("--reason", help="Such as out_of_range; can be repeated.")
]
Device = Annotated[str | None, typer.Option(help="The device's name, as in its topic.")]
StreamText = Annotated[
    str | None, typer.Option("--stream", help="radio, broadband, reading or batch.")
]
Since = Annotated[
    str | None, typer.Option(help="It came (again) since: 2h, 3d ago, or 2026-05-01 (UTC).")
]
Before = Annotated[
    str | None, typer.Option(help="It last came before: 30d ago, or 2026-05-01 (UTC).")
]
All = Annotated[bool, typer.Option("--all", help="Whatever is there.")]


def selected(
    ids: list[int] | None, carrier: str | None, reasons: list[str] | None,
    device: str | None, stream: str | None, since: str | None, before: str | None,
) -> Selection:  # fmt: skip
    """The rows that the options mean; an empty option is one. Raises `ShudaoError`."""
    from ingest.quarantine.selection import Selection

    for option, value in (("--device", device), ("--stream", stream)):
        if value is not None and not value.isprintable():
            raise ShudaoError(f"{option} {value!a} is not printable text in UTF-8", "correct it")
    return Selection(
        ids=tuple(ids or ()),
        carrier_id=carrier_id(carrier, unknown=0) if carrier is not None else None,
        reasons=tuple(_reason(name) for name in reasons or ()),
        device=device,
        stream=stream,
        since=parse_moment(since) if since is not None else None,
        before=parse_moment(before) if before is not None else None,
    )


def _reason(name: str) -> Reason:
    from ingest.reasons import Reason

    try:
        return Reason(name)
    except ValueError:
        raise ShudaoError(
            f"no reason is called '{name}'", f"use one of {', '.join(Reason)}"
        ) from None


def require_a_choice(selection: Selection, everything: bool, what: str) -> None:
    """Raises `ShudaoError` unless something says which rows: ids, filters, or --all."""
    if selection.is_everything and not everything:
        raise ShudaoError(
            f"nothing says which to {what}",
            f"give numbers or filters (`shudao quarantine {what} --help`), or --all",
        )
    if everything and not selection.is_everything:
        raise ShudaoError("--all and a choice exclude each other", "leave one of them out")
