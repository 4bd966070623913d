"""SenML (RFC 8428): resolution of a pack's records, and what they mean here.

A record's name is its base name and name. Its last segment is a field of the message contract
(``rsrp_dbm``), a metric on the reading topic, or a resource of LwM2M's object 4 (``…/4/0/2``:
`ingest.formats.lwm2m`). What stands before it names the device on the batch topic; elsewhere the
topic does. Records of one device and one time are one sample: when one of them is wrong, that
sample is refused, since what it lacks could never be added to it later. A reading is one record.

Times are absolute: a relative one (below 2**28, RFC 8428, 4.5.3) would count from the arrival, and
a message that is delivered twice would be two samples. So such records are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ingest.formats import lwm2m
from ingest.formats.base import MAX_NAME, Fault, FormatError, Object, Translated, number, shown
from ingest.formats.units import convert, convert_reading
from ingest.reasons import Reason
from shudao.streams import BATCH, STREAMS

_VERSIONS = {10, 26}
"""RFC 8428; RFC 9100: with the secondary units of RFC 8798, such as dBm."""
_RELATIVE_BELOW = 2**28
_VALUES: dict[str, Any] = {"v": int | float, "vs": str, "vb": bool, "vd": str | bytes}
_MEASURES = {"n", "t", "s", *_VALUES}
"""A record without any of these only sets base fields."""
_NAME = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9\-:./_]*")
"""RFC 8428, 4.5.1; LwM2M's paths begin with a slash."""
_FIELDS: dict[str, set[str]] = {
    name: {f.name for f in stream.fields} | {"technology"} for name, stream in STREAMS.items()
}
_ONLY_RADIO = _FIELDS["radio"] - _FIELDS["broadband"]
_ONLY_BROADBAND = _FIELDS["broadband"] - _FIELDS["radio"]
_YES_OR_NO = {"attached", "ipv6"}


class _Meaning(NamedTuple):
    """What a record's name says."""

    device: str
    field: str
    """Or, of a reading, the metric."""
    stream: str
    """Empty where the sample's other fields decide."""
    is_lwm2m: bool = False


_Key = tuple[str, str, int, int]


def translate(pack: Any, stream: str) -> Translated:
    """Objects of a pack (a list of dicts with RFC 8428's JSON labels). Raises `FormatError`."""
    if not isinstance(pack, list) or not all(isinstance(r, dict) for r in pack):
        raise FormatError(Reason.MALFORMED, "a SenML pack is an array of records")
    faults: list[Fault] = []
    samples: dict[_Key, Object] = {}
    wrong: set[_Key] = set()
    for position, record in _with_base(pack):
        try:
            meaning = _meaning(_name(record), stream)
            if meaning is None:
                continue
            time_ms = _time_ms(record)
        except FormatError as error:
            faults.append(Fault(position, error.reason, error.detail))
            continue
        is_reading = meaning.stream == "reading"
        key = (meaning.device, meaning.stream, time_ms, position if is_reading else -1)
        sample = samples.setdefault(key, _begin(meaning, time_ms, stream))
        try:
            value = _value(meaning, record)
        except FormatError as error:
            faults.append(Fault(position, error.reason, error.detail))
            wrong.add(key)
            continue
        if is_reading:
            sample |= {"metric": meaning.field, "value": value}
        elif value is not None:
            sample.setdefault(meaning.field, value)  # the first stays, as of samples
    for key, sample in samples.items():
        if not sample["stream"] and not _decide(sample):
            wrong.add(key)
            detail = "fields of radio and of broadband at one time: which stream is this?"
            faults.append(Fault(len(pack), Reason.INVALID_FIELD, detail))
    return Translated([s for key, s in samples.items() if key not in wrong], faults)


def _begin(meaning: _Meaning, time_ms: int, stream: str) -> Object:
    sample: Object = {"stream": meaning.stream, "time": time_ms}
    if stream == BATCH:  # elsewhere the topic names it
        sample["device"] = meaning.device
    return sample


def _decide(sample: Object) -> bool:
    """Settle the stream of a sample by its fields; whether they agree."""
    is_broadband = not _ONLY_BROADBAND.isdisjoint(sample)
    sample["stream"] = "broadband" if is_broadband else "radio"
    return not is_broadband or _ONLY_RADIO.isdisjoint(sample)


def _with_base(pack: list[Object]) -> Iterator[tuple[int, Object]]:
    """Records that measure, with the base fields that hold for each (RFC 8428, 4.6): those of its
    own and of the records before it. Raises `FormatError`."""
    base: Object = {}
    for position, record in enumerate(pack):
        _must_understand(record)
        base |= {k: v for k, v in record.items() if k in ("bn", "bt", "bu", "bv")}
        if not _MEASURES.isdisjoint(record):
            yield position, record | base


def _must_understand(record: Object) -> None:
    """RFC 8428, 4.4: labels that end with an underscore, and later versions, stop all reading."""
    for label in record:
        if isinstance(label, str) and label.endswith("_"):
            raise FormatError(Reason.MALFORMED, f"label {shown(label)} must be understood, is not")
    version = record.get("bver", 10)
    if number(version) not in _VERSIONS:
        raise FormatError(Reason.MALFORMED, f"SenML version {shown(version)}, not 10 or 26")


def _name(record: Object) -> str:
    base, own = _text(record, "bn"), _text(record, "n")
    if len(base) + len(own) > MAX_NAME:  # a base name of megabytes would be one in each record
        raise FormatError(Reason.INVALID_FIELD, f"a name of more than {MAX_NAME} characters")
    name = base + own
    if not _NAME.fullmatch(name):
        raise FormatError(Reason.INVALID_FIELD, f"{shown(name)} is no name of RFC 8428")
    return name


def _text(record: Object, label: str) -> str:
    text = record.get(label, "")
    if not isinstance(text, str):
        raise FormatError(Reason.INVALID_FIELD, f"{label} = {shown(text)} is no text")
    return text


def _number(record: Object, label: str) -> int | float:
    found = number(record.get(label, 0))
    if found is None:
        raise FormatError(
            Reason.INVALID_FIELD, f"{label} = {shown(record[label])} is no finite number"
        )
    return found


def _time_ms(record: Object) -> int:
    seconds = _number(record, "bt") + _number(record, "t")
    if seconds < _RELATIVE_BELOW:
        raise FormatError(
            Reason.INVALID_FIELD,
            f"time {seconds} s is relative: send bt in seconds since 1970, UTC, so that a message"
            " that is delivered twice is the same sample",
        )
    return round(min(seconds, 2**53 / 1000) * 1000)


def _meaning(name: str, stream: str) -> _Meaning | None:
    """What a name says; None where it is none of ours. Raises `FormatError`."""
    of = "" if stream == BATCH else stream
    if path := lwm2m.parse(name):
        device, resource = path
        if resource is None:
            return None
        # Never of another stream: on the topic of one it is refused.
        return _Meaning(device, resource, of and "radio", is_lwm2m=True)
    cut = max(name.rfind("/"), name.rfind(":"))
    device, field = name[: max(cut, 0)], name[cut + 1 :]
    known = _FIELDS["radio"] | _FIELDS["broadband"] if stream == BATCH else _FIELDS[stream]
    if stream == "reading" or (stream == BATCH and field not in known):
        return _Meaning(device, field, "reading")
    if field not in known:
        raise FormatError(Reason.INVALID_FIELD, f"the stream {stream} has no field {shown(field)}")
    return _Meaning(device, field, of)


def _value(meaning: _Meaning, record: Object) -> Any:
    """A record's value in the unit of its field; None: not measured. Raises `FormatError`."""
    value, unit = _sent(record), _text(record, "u" if "u" in record else "bu")
    field = meaning.field
    if meaning.is_lwm2m:
        return lwm2m.value(field, value, unit)
    if field == "technology" and meaning.stream != "reading":
        if not isinstance(value, str):
            raise FormatError(Reason.INVALID_FIELD, "a technology is a name")
        return value
    if isinstance(value, bool) and (field in _YES_OR_NO or meaning.stream == "reading"):
        return int(value)
    measured = number(value)
    if measured is None:
        raise FormatError(Reason.INVALID_FIELD, f"{shown(field)} = {shown(value)} is no number")
    if meaning.stream == "reading":
        return convert_reading(field, unit, measured)
    return convert(field, unit, measured)


def _sent(record: Object) -> Any:
    """The one value of a record, the base value added. Raises `FormatError`."""
    labels = [label for label in _VALUES if label in record]
    if len(labels) > 1:
        raise FormatError(Reason.INVALID_FIELD, f"more than one value: {', '.join(labels)}")
    if not labels and ("s" in record or "bv" not in record):
        kind = "a sum is no measurement of one instant" if "s" in record else "it has no value"
        raise FormatError(Reason.INVALID_FIELD, kind)
    label = labels[0] if labels else "v"
    if label == "v":
        return _number(record, "bv") + _number(record, "v")
    if not isinstance(record[label], _VALUES[label]):
        raise FormatError(Reason.INVALID_FIELD, f"{label} = {shown(record[label])}: wrong type")
    return record[label]
