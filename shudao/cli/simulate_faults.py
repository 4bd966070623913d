"""The options of ``shudao simulate`` that make things go wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shudao.cli.durations import parse_duration
from shudao.cli.options import carrier_id
from shudao.errors import ShudaoError

if TYPE_CHECKING:
    from simulators.area_faults import AreaFault, What

PANEL = "Faults: shares (0 … 1); 0 is off"
AREAS = "Faults in an area: CARRIER:CODE:+START:LENGTH"


def _share(help_text: str) -> Any:
    return typer.Option(min=0, max=1, rich_help_panel=PANEL, help=help_text)


def _area(help_text: str) -> Any:
    return typer.Option(metavar="FAULT", rich_help_panel=AREAS, help=help_text)


Malformed = Annotated[float, _share("Of messages: malformed ones, sent besides.")]
Sentinels = Annotated[float, _share("Of messages: with -32768, 255 …, sent besides.")]
Duplicates = Annotated[float, _share("Of messages: sent twice.")]
Late = Annotated[float, _share("Of messages: sent after newer ones.")]
Shuffled = Annotated[float, _share("Of devices: their histories are out of order.")]
Clocks = Annotated[float, _share("Of devices: their clocks are hours ahead, or in the year 2000.")]
Silent = Annotated[float, _share("Of devices: they send their history and nothing after it.")]
Flood = Annotated[
    float,
    typer.Option(min=0, max=400, rich_help_panel=PANEL, help="Messages a second of one device."),
]
Outage = Annotated[list[str] | None, _area("No cell on air: telecom:510104:+60s:5m")]
Backhaul = Annotated[list[str] | None, _area("Nothing gets through; devices send it afterwards.")]
Regression = Annotated[list[str] | None, _area("Signal 25 dB weaker, lines ten times slower.")]
AreasPerHour = Annotated[
    float, typer.Option(min=0, rich_help_panel=AREAS, help="Of all three kinds, by chance.")
]
Log = Annotated[
    Path | None,
    typer.Option("--fault-log", metavar="FILE", help="Write each fault as a line of JSON."),
]


def area_faults(**listed: list[str] | None) -> tuple[AreaFault, ...]:
    """The faults that were asked for, by kind; times count from the start. Raises `ShudaoError`."""
    from simulators.area_faults import KINDS

    return tuple(_parse(kind, text) for kind in KINDS for text in listed[kind] or ())


def _parse(what: What, text: str) -> AreaFault:
    from simulators.area_faults import AreaFault

    found = re.fullmatch(r"(\w+):((?:\d\d){1,3}):\+([^:]+):([^:]+)", text)
    if not found:
        raise ShudaoError(
            f"'{text}' is no {what}", "write CARRIER:CODE:+START:LENGTH, as telecom:510104:+60s:5m"
        )
    carrier, area, start, length = found.groups()
    start_s, length_s = parse_duration(start), parse_duration(length)
    return AreaFault(
        from_ms=int(1000 * start_s),
        to_ms=int(1000 * (start_s + length_s)),
        what=what,
        carrier=carrier_id(carrier) - 1,
        area=area,
    )
