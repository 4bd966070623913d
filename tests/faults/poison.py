"""Messages that must be refused, of every class that we know, each one unlike all others.

Each maker takes a number that is used once and the time of the run; the number makes topic or
payload unique, so that quarantine must hold each poison exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingest.decode import MAX_OBJECTS
from shudao.streams import topic
from shudao.vocabulary import Carrier
from tests.faults.envelope import Envelope, refusal, to_json
from tests.faults.numbered import OFFSET_MS, probe, sensor

HUGE_BYTES = 2 * 2**20
SENSOR, CARRIER = sensor(0)
RADIO = topic(CARRIER, "radio", SENSOR)
READING = topic(CARRIER, "reading", SENSOR)
PROBE, PROBE_CARRIER = probe(0)

Maker = Callable[[int, int], tuple[str, bytes, str]]
"""Number and time of the run in ms → topic, payload, reason."""


def _fields(reason: str, where: str = RADIO, **fields: Any) -> Maker:
    """A sample with the given fields; null leaves a default one out."""

    def make(n: int, base_ms: int) -> tuple[str, bytes, str]:
        good: dict[str, Any] = {"time": _time(n, base_ms), "rsrp_dbm": -90.5, "n": n}
        return where, to_json({k: v for k, v in (good | fields).items() if v is not None}), reason

    return make


def _shifted(reason: str, shift_ms: int) -> Maker:
    return lambda n, base_ms: (
        RADIO, to_json({"time": base_ms + shift_ms + n, "rsrp_dbm": -90}), reason
    )  # fmt: skip


def _raw(payload: bytes, reason: str) -> Maker:
    """A payload with %d for the number."""
    return lambda n, _: (RADIO, payload % n, reason)


def _topic(where: str, reason: str, payload: bytes = b'{"time":%d,"rsrp_dbm":-90}') -> Maker:
    """A topic with {n} for the number, and a payload that need not hold it."""
    return lambda n, base_ms: (
        where.format(n=n), payload % _time(n, base_ms) if b"%d" in payload else payload, reason
    )  # fmt: skip


def _time(n: int, base_ms: int) -> int:
    """A time that no numbered sample has."""
    return base_ms - (n + 1) - 20 * OFFSET_MS


COMMON: dict[str, Maker] = {
    "cut short": _raw(b'{"time": 1, "rsrp_dbm": -90, "n": %d', "malformed"),
    "not JSON": _raw(b"rsrp=-90;n=%d", "malformed"),
    "not UTF-8": _raw(b'{"time": %d, "rsrp_dbm": -90, "technology": "\xff\xfe"}', "malformed"),
    "binary": _raw(b"\xff\x00\x01\x02\xfe%d\x00", "malformed"),
    "NUL in the payload": _raw(b'{"time": %d\x00, "rsrp_dbm": -90}', "malformed"),
    "NUL in a word": _fields("unknown_technology", technology="nb\0iot"),
    "nothing": _topic("shudao/v1/telecom/radio/nothing-{n}", "malformed", b""),
    "no object": _raw(b"%d", "invalid_field"),
    "time in words": _fields("invalid_field", time="now"),
    "no time": _fields("invalid_field", time=None),
    "a number of many digits": _raw(b'{"time": 1' + b"0" * 400 + b"%d}", "invalid_field"),
    "empty array": _topic("shudao/v1/telecom/radio/empty-{n}", "empty", b"[]"),
    "nothing measured": _fields("empty", rsrp_dbm=None),
    "unknown device": _topic("shudao/v1/telecom/radio/nobody-{n}", "unknown_device"),
    "wrong carrier": _fields("wrong_carrier", topic("mobile", "radio", SENSOR)),
    "unknown carrier": _fields("unknown_carrier", f"shudao/v1/telcom/radio/{SENSOR}"),
    "unknown stream": _fields("unknown_stream", f"shudao/v1/telecom/radar/{SENSOR}"),
    "topic too short": _fields("topic", "shudao/v1/telecom/radio"),
    "topic too long": _topic("shudao/v1/telecom/radio/a/{n}", "topic"),
    "no topic at all": _fields("topic", "shudao/v1"),
    "out of range": _fields("out_of_range", rsrp_dbm=-32_768),
    "no whole number": _fields("out_of_range", ecl=255),
    "contradiction": _fields("contradiction", rsrp_dbm=-135, ecl=0),
    "unknown technology": _fields("unknown_technology", technology="6g"),
    "radio from a fibre": _fields("unknown_technology", topic(PROBE_CARRIER, "radio", PROBE)),
    "unknown metric": _fields("unknown_metric", READING, metric="mood", value=1),
    "time ahead": _shifted("time_ahead", 30 * 86_400_000),
    "time old": _shifted("time_old", -200 * 86_400_000),
}
"""Small ones."""

LARGE: dict[str, Maker] = {
    "huge": lambda n, _: (RADIO, b'{"n": %d, "note": "' % n + b"x" * HUGE_BYTES, "malformed"),
    "deep": _topic("shudao/v1/telecom/radio/deep-{n}", "malformed", b"[" * 50_000),
    "too many": _topic(
        "shudao/v1/telecom/radio/many-{n}", "too_many", b"[" + b"0," * MAX_OBJECTS + b"0]"
    ),
}
"""Large ones, to be sent rarely."""


def poison(make: Maker, number: int, base_ms: int) -> Envelope:
    """A poison as an envelope."""
    where, payload, reason = make(number, base_ms)
    return Envelope(where, payload, (), (refusal(where, payload, reason),))


def bad_object(number: int, base_ms: int, carrier: str) -> tuple[bytes, str]:
    """An object for the midst of a carrier's bulk array, and its reason."""
    [device] = (name for name, c in map(sensor, range(len(Carrier))) if c == carrier)
    good = {"stream": "radio", "device": device, "time": _time(number, base_ms), "rsrp_dbm": -90}
    kinds: list[tuple[dict[str, Any], str]] = [
        ({"device": f"no\0body-{number}"}, "unknown_device"),
        ({"rsrp_dbm": 17}, "out_of_range"),
        ({"time": f"at {number}"}, "invalid_field"),
        ({"stream": "radar"}, "invalid_field"),
    ]
    change, reason = kinds[number % len(kinds)]
    return to_json(good | change), reason
