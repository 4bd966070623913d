"""SenML (RFC 8428): resolution of a pack's records, and what they mean here.

A record's name is its base name and name. Its last segment is a field of the message contract
(``rsrp_dbm``), a metric on the reading topic, or a resource of LwM2M's object 4 (``…/4/0/2``:
`ingest.formats.lwm2m`). What stands before it names the device on the batch topic; elsewhere the
topic does. Records of one device and one time are one sample.

Times are absolute: a relative one (below 2**28, RFC 8428, 4.5.3) would count from the arrival, and
a message that is delivered twice would be two samples. So such records are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ingest.formats import lwm2m
from ingest.formats.base import Fault, FormatError, Object, Translated, number
from ingest.formats.units import convert
from ingest.reasons import Reason
from shudao.streams import BATCH, STREAMS

VERSION = 10
_RELATIVE_BELOW = 2**28
_VALUES = ("v", "vs", "vb", "vd")
_NAME = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9\-:./_]*")
"""RFC 8428, 4.5.1; LwM2M's paths begin with a slash."""
_FIELDS: dict[str, set[str]] = {
    name: {f.name for f in stream.fields} | {"technology"} for name, stream in STREAMS.items()
}
_ONLY_BROADBAND = _FIELDS["broadband"] - _FIELDS["radio"]


class Record(NamedTuple):
    """A record after resolution."""

    position: int
    name: str
    unit: str
    value: Any
    time_ms: int


class _Meaning(NamedTuple):
    """A record in the words of the message contract."""

    device: str
    field: str
    """Or, of a reading, the metric."""
    value: Any
    stream: str
    """Empty on the batch topic until all fields of the sample are known."""


def translate(pack: Any, stream: str) -> Translated:
    """Objects of a pack (a list of dicts with RFC 8428's JSON labels). Raises `FormatError`."""
    if not isinstance(pack, list) or not all(isinstance(r, dict) for r in pack):
        raise FormatError(Reason.MALFORMED, "a SenML pack is an array of records")
    faults: list[Fault] = []
    samples: dict[tuple[Any, ...], Object] = {}
    for record in _resolved(pack, faults):
        try:
            found = _meaning(record, stream)
        except FormatError as error:
            faults.append(Fault(record.position, error.reason, error.detail))
            continue
        if found is None:
            continue
        # Each reading is a sample of its own.
        apart = record.position if found.stream == "reading" else -1
        sample = samples.setdefault(
            (found.device, record.time_ms, found.stream, apart),
            {"time": record.time_ms, "device": found.device, "stream": found.stream},
        )
        if found.stream == "reading":
            sample |= {"metric": found.field, "value": found.value}
        else:
            sample[found.field] = found.value
    for sample in samples.values():
        if not sample["stream"]:
            sample["stream"] = "broadband" if _ONLY_BROADBAND & sample.keys() else "radio"
        if stream != BATCH:
            del sample["device"]  # the topic names it
    return Translated(list(samples.values()), faults)


def _resolved(pack: list[Object], faults: list[Fault]) -> Iterator[Record]:
    """RFC 8428, 4.6: base fields apply to their own record and to all that follow."""
    base: Object = {"bn": "", "bt": 0, "bu": "", "bv": 0, "bs": 0}
    for position, record in enumerate(pack):
        _must_understand(record)
        base |= {k: record[k] for k in base if k in record}
        values = [k for k in _VALUES if k in record]
        if not values and "bv" not in record and "s" not in record:
            if "n" in record:
                faults.append(Fault(position, Reason.INVALID_FIELD, "the record has no value"))
            continue
        try:
            yield _resolve(position, record, base, values)
        except FormatError as error:
            faults.append(Fault(position, error.reason, error.detail))


def _must_understand(record: Object) -> None:
    """RFC 8428, 4.4: labels that end with an underscore, and later versions, stop all reading."""
    unknown = [k for k in record if isinstance(k, str) and k.endswith("_")]
    if unknown:
        raise FormatError(Reason.MALFORMED, f"label {unknown[0][:40]!r} must be understood, is not")
    version = record.get("bver", VERSION)
    if number(version) is None or number(version) > VERSION:  # type: ignore[operator]
        raise FormatError(Reason.MALFORMED, f"SenML version {str(version)[:40]}, not {VERSION}")


def _resolve(position: int, record: Object, base: Object, values: list[str]) -> Record:
    if len(values) > 1:
        raise FormatError(Reason.INVALID_FIELD, f"more than one value: {', '.join(values)}")
    name = f"{_text(base['bn'])}{_text(record.get('n', ''))}"
    if not _NAME.fullmatch(name):
        raise FormatError(Reason.INVALID_FIELD, f"{name[:80]!r} is no name of RFC 8428")
    unit = _text(record.get("u", base["bu"]))
    return Record(position, name, unit, _value(record, base, values), _time_ms(record, base))


def _value(record: Object, base: Object, values: list[str]) -> Any:
    if values and values[0] != "v":
        return record[values[0]]
    if not values and "s" in record:
        raise FormatError(Reason.INVALID_FIELD, "a sum is no measurement of one instant")
    value, offset = number(record.get("v", 0)), number(base["bv"])
    if value is None or offset is None:
        raise FormatError(Reason.INVALID_FIELD, "v and bv are finite numbers")
    return value + offset


def _time_ms(record: Object, base: Object) -> int:
    since, at = number(base["bt"]), number(record.get("t", 0))
    if since is None or at is None:
        raise FormatError(Reason.INVALID_FIELD, "t and bt are finite numbers, in seconds")
    seconds = since + at
    if seconds < _RELATIVE_BELOW:
        raise FormatError(
            Reason.INVALID_FIELD,
            f"time {seconds} s is relative: send bt in seconds since 1970, UTC, so that a message"
            " that is delivered twice is the same sample",
        )
    return round(min(seconds, 2**53 / 1000) * 1000)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FormatError(Reason.INVALID_FIELD, f"{str(value)[:40]!r} is no text")
    return value


def _meaning(record: Record, stream: str) -> _Meaning | None:
    """What a record says; None where it is none of ours. Raises `FormatError`."""
    if path := lwm2m.PATH.fullmatch(record.name):
        field, value = lwm2m.resource(int(path["resource"]), record.value)
        return None if field is None else _Meaning(path["device"], field, value, "radio")
    head = record.name.replace(":", "/").rpartition("/")
    device, field = record.name[: len(head[0])], head[2]
    known = _FIELDS[stream] if stream in _FIELDS else _FIELDS["radio"] | _FIELDS["broadband"]
    if stream == "reading" or (stream == BATCH and field not in known):
        # In the metric's own unit, which the table metric names.
        return _Meaning(device, field, _number(record), "reading")
    if field not in known:
        raise FormatError(Reason.INVALID_FIELD, f"the stream {stream} has no field {field[:60]!r}")
    of = "" if stream == BATCH else stream
    if field == "technology":
        return _Meaning(device, field, record.value, of)
    if isinstance(record.value, bool):
        return _Meaning(device, field, int(record.value), of)
    return _Meaning(device, field, convert(field, record.unit, _number(record)), of)


def _number(record: Record) -> int | float:
    value = int(record.value) if isinstance(record.value, bool) else number(record.value)
    if value is None:
        raise FormatError(Reason.INVALID_FIELD, f"{record.name[:60]} is no number")
    return value
