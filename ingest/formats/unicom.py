"""The property batch of China Unicom's IoT platform.

    {"messageId": "…",
     "params": {"data": [{"key": "rsrp", "value": -120, "ts": "1620649332214"}, …]}}

Whole dBm and dB, numbers also as text, times in milliseconds as text. Entries of one time are one
sample, refused when one of them is wrong; one without ``ts`` is of ``moduleTime``, the module's own
clock. The first of two entries of one key and time stays.
"""

from __future__ import annotations

from typing import Any

from ingest.formats.base import (
    Fault,
    Format,
    FormatError,
    Object,
    Translated,
    json_value,
    number_or_text,
    shown,
)
from ingest.reasons import Reason

_FIELDS = {
    "rsrp": "rsrp_dbm", "rsrq": "rsrq_db", "sinr": "sinr_db", "signalECL": "ecl",
    "cellID": "cell_id", "longitude": "lon", "latitude": "lat",
}  # fmt: skip
_ECL_UNKNOWN = 255


def fits(payload: bytes) -> bool:
    """Whether it looks like it."""
    return payload.lstrip()[:1] == b"{" and b'"params"' in payload and b'"key"' in payload


def translate(payload: bytes, stream: str) -> Translated:
    """A radio sample for each time. Raises `FormatError`."""
    entries = _entries(json_value(payload))
    own_time = next((e.get("value") for e in entries if e.get("key") == "moduleTime"), None)
    samples: dict[int, Object] = {}
    wrong: set[int] = set()
    faults = []
    for position, entry in enumerate(entries):
        key, sent = entry.get("key"), entry.get("value")
        if not isinstance(key, str) or key not in _FIELDS or sent is None:
            continue
        ts = entry.get("ts")
        time_ms, value = number_or_text(own_time if ts is None else ts), number_or_text(sent)
        if not isinstance(time_ms, int):
            detail = f"{key} has neither ts nor moduleTime in milliseconds"
            faults.append(Fault(position, Reason.INVALID_FIELD, detail))
        elif value is None:
            wrong.add(time_ms)
            detail = f"{key}: {shown(sent)} is no number"
            faults.append(Fault(position, Reason.INVALID_FIELD, detail))
        else:
            sample = samples.setdefault(
                time_ms, {"stream": "radio", "technology": "nbiot", "time": time_ms}
            )
            if not (key == "signalECL" and value == _ECL_UNKNOWN):
                sample.setdefault(_FIELDS[key], value)
    if not samples and not faults:
        raise FormatError(Reason.EMPTY, "no entry holds a radio measurement")
    return Translated([s for time_ms, s in samples.items() if time_ms not in wrong], faults)


def _entries(body: Any) -> list[Object]:
    params = body.get("params") if isinstance(body, dict) else None
    entries = params.get("data") if isinstance(params, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise FormatError(Reason.INVALID_FIELD, "params.data is no array of objects")
    return entries


UNICOM = Format("China Unicom", ("application/vnd.unicom+json",), fits, translate)
