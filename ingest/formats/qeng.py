"""AT+QENG=0 as Quectel's BC26 and BC660K print it.

    time:1620649332214
    module:BC660K
    +CSCON: 0,1
    +QENG: 0,1769,9,400,"00288516",-103,-9,-94,5,3,"A924",0,14,2

EARFCN, offset, PCI, cell (hexadecimal), RSRP, RSRQ, RSSI, SINR, band, TAC (hexadecimal), ECL,
transmit power, operation mode: whole dBm and dB, empty where not measured. Lines ``+QENG: 1,`` are
neighbours and are not read. Two values mean nothing without another line, and are left out
without it:
- the transmit power is in dBm from a BC660K, in tenths from a BC26: ``module:`` says which;
- the ECL is only valid while connected (RRC): ``+CSCON: …,1``, as the module itself reports it, and
  no line that says otherwise.
``time:`` as in NUESTATS.
"""

from __future__ import annotations

import re

from ingest.formats.base import (
    Format,
    FormatError,
    Object,
    Translated,
    looks_like_json,
    shown,
    text_of,
)
from ingest.formats.nuestats import tagged, time_line
from ingest.reasons import Reason

_NAMES = (
    "earfcn", None, "pci", "cell_id", "rsrp_dbm", "rsrq_db", None, "sinr_db", None, None,
    "ecl", "tx_power_dbm", None,
)  # fmt: skip
_TX_POWER_UNIT = {"BC660K": 1.0, "BC26": 0.1}
_SERVING = re.compile(r"\+QENG:\s*0,(.*)")
_CONNECTED = re.compile(r"\+CSCON:\s*(?:[0-9],)?1")
_WHOLE = re.compile(r"-?[0-9]{1,10}")
_HEX = re.compile(r"[0-9A-Fa-f]{1,9}")


def fits(payload: bytes) -> bool:
    """Whether it looks like it."""
    head = payload[:512]
    return b"+QENG:" in head and not looks_like_json(head)


def translate(payload: bytes, stream: str) -> Translated:
    """One radio sample, of the serving cell. Raises `FormatError`."""
    lines = [line.strip() for line in text_of(payload).splitlines()]
    serving = [found[1] for line in lines if (found := _SERVING.fullmatch(line))]
    if len(serving) != 1:
        raise FormatError(Reason.MALFORMED, f"{len(serving)} lines of a serving cell, not one")
    values = _values(serving[0])
    if not _is_connected(lines):
        values.pop("ecl", None)
    power = values.pop("tx_power_dbm", None)
    unit = _TX_POWER_UNIT.get(_module(lines))
    if power is not None and unit is not None:
        values["tx_power_dbm"] = round(power * unit, 1)
    return Translated(
        [{"stream": "radio", "technology": "nbiot", "time": time_line(lines), **values}], []
    )


def _is_connected(lines: list[str]) -> bool:
    said = [line for line in lines if line.startswith("+CSCON:")]
    return bool(said) and all(_CONNECTED.fullmatch(line) for line in said)


def _module(lines: list[str]) -> str:
    """What ``module:`` names, without the variant (BC660K-GL)."""
    return tagged(lines, "module").partition("-")[0].upper()


def _values(text: str) -> Object:
    values = [v.strip().strip('"') for v in text.split(",")]
    if len(values) != len(_NAMES):
        raise FormatError(Reason.MALFORMED, f"a serving cell has 13 values, not {len(values)}")
    found: Object = {}
    for name, value in zip(_NAMES, values, strict=True):
        if name is None or not value:
            continue
        if not (_HEX if name == "cell_id" else _WHOLE).fullmatch(value):
            raise FormatError(Reason.INVALID_FIELD, f"{name}: {shown(value)} is no number")
        found[name] = int(value, 16 if name == "cell_id" else 10)
    return found


QENG = Format("QENG", ("text/x-qeng",), fits, translate)
