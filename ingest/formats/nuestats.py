"""AT+NUESTATS as modules of the Neul/HiSilicon family print it (BC95, BC28, M5310, SARA-N2).

    time:1620649332214
    Signal power:-815
    …
    RSRQ:-139

Powers, SNR and RSRQ are in tenths of dBm and dB. Not measured: -32768, ECL 255, cell 4294967295.
An AT response knows no time, so the sender puts ``time:<milliseconds since 1970, UTC>`` before it:
with the time of arrival a message that is delivered twice would be two samples. Lines may begin
with ``NUESTATS:`` or ``NUESTATS:RADIO,``. Of ``NUESTATS:CELL,`` lines (EARFCN, PCI, primary, RSRP,
RSRQ, RSSI, SNR) only the primary cell's is read: neighbours carry an RSSI of -1354 and an SNR of
200 that nobody measured.

One response a message: of two, neither's values can be told from the other's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ingest.formats.base import (
    Format,
    FormatError,
    Object,
    Translated,
    looks_like_json,
    shown,
    tenths,
    text_of,
)
from ingest.reasons import Reason

ABSENT = -32768
_FIELDS: dict[str, tuple[str, Callable[[int], int | float], int]] = {
    "Signal power": ("rsrp_dbm", tenths, ABSENT),
    "TX power": ("tx_power_dbm", tenths, ABSENT),
    "Cell ID": ("cell_id", int, 0xFFFF_FFFF),
    "ECL": ("ecl", int, 255),
    "SNR": ("sinr_db", tenths, ABSENT),
    "EARFCN": ("earfcn", int, 0xFFFF_FFFF),
    "PCI": ("pci", int, 65_535),
    "RSRQ": ("rsrq_db", tenths, ABSENT),
}
"""Label → field, unit, and what means "not measured"."""

_CELL = ("EARFCN", "PCI", None, "Signal power", "RSRQ", None, "SNR")
_PREFIX = re.compile(r"\+?NUESTATS:\s*(?:([A-Z]+),)?")
_WHOLE = re.compile(r"-?[0-9]{1,15}")


def fits(payload: bytes) -> bool:
    """Whether it looks like it."""
    head = payload[:512]
    return (b"Signal power:" in head or b"NUESTATS:" in head) and not looks_like_json(head)


def translate(payload: bytes, stream: str) -> Translated:
    """One radio sample. Raises `FormatError`."""
    lines = [line.strip() for line in text_of(payload).splitlines()]
    found: Object = {"stream": "radio", "technology": "nbiot", "time": time_line(lines)}
    own: dict[str, str] = {}
    primary: dict[str, str] = {}
    for line in lines:
        prefix = _PREFIX.match(line)
        rest = line[prefix.end() :] if prefix else line
        if prefix and prefix[1] == "CELL":
            _add(primary, _cell(rest))
        else:
            label, _, text = rest.partition(":")
            _add(own, [(label.strip(), text.strip())])
    return Translated([found | _measured(primary) | _measured(own)], [])


def time_line(lines: list[str]) -> int:
    """The time that the sender put before an AT response. Raises `FormatError`."""
    text = tagged(lines, "time")
    if not _WHOLE.fullmatch(text):
        raise FormatError(
            Reason.INVALID_FIELD,
            "an AT response has no time: send a line 'time:<milliseconds since 1970, UTC>' before"
            " it, one response a message",
        )
    return int(text)


def tagged(lines: list[str], tag: str) -> str:
    """What stands behind ``tag:`` in the line that begins so; empty where none does, or where two
    say different things."""
    parts = (line.partition(":") for line in lines)
    said = {text.strip() for name, _, text in parts if name.strip().lower() == tag}
    return said.pop() if len(said) == 1 else ""


def _add(printed: dict[str, str], values: Iterable[tuple[str, str]]) -> None:
    """Take labels that mean something, each with one value. Raises `FormatError`."""
    for label, text in values:
        if label in _FIELDS and printed.setdefault(label, text) != text:
            detail = (
                f"{label}: {shown(printed[label])} and {shown(text)}: send one response a message"
            )
            raise FormatError(Reason.INVALID_FIELD, detail)


def _measured(printed: dict[str, str]) -> Object:
    found: Object = {}
    for label, text in printed.items():
        if not _WHOLE.fullmatch(text):
            raise FormatError(Reason.INVALID_FIELD, f"{label}: {shown(text)} is no whole number")
        name, unit, absent = _FIELDS[label]
        if int(text) != absent:
            found[name] = unit(int(text))
    return found


def _cell(text: str) -> Iterator[tuple[str, str]]:
    values = [v.strip() for v in text.split(",")]
    if len(values) != len(_CELL):
        raise FormatError(Reason.MALFORMED, f"a CELL line holds {len(values)} values, not 7")
    if values[2] == "1":
        yield from ((label or "", value) for label, value in zip(_CELL, values, strict=True))


NUESTATS = Format("NUESTATS", ("text/x-nuestats",), fits, translate)
