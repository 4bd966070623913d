"""Whatever the bytes are: a format translates them to plain objects, or refuses them."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import decode
from ingest.formats import FORMATS, Fault, Format, FormatError, Translated, recognise
from shudao.streams import BATCH, STREAMS
from tests.ingest.payloads import TIME_MS, examples, sent

STREAM = st.sampled_from([*STREAMS, BATCH])
FORM = st.sampled_from(FORMATS)
TEXTS = st.sampled_from(
    ["n", "u", "v", "vs", "vb", "vd", "s", "t", "ut", "bn", "bt", "bu", "bv", "bs", "bver", "x_",
     "rsrp_dbm", "ecl", "technology", "dev/4/0/13", "/4/0/0", "dBW", "time", "device", "stream",
     "notifyType", "services", "serviceId", "Connectivity", "data", "signalECL", "eventTime",
     "20180602T062810Z", "params", "key", "value", "ts", "rsrp", "moduleTime", "1e400", "NaN",
     "1" * 5_000, "\0", "\ud800", "-32768", str(TIME_MS)]
) | st.text(max_size=6)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([1, -1]).map(lambda sign: sign * 10**5_000),  # which cannot be printed
    st.sampled_from([2**63, 1e308, -1e308, 255, -32768, TIME_MS, 1.7e9]),
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
BYTES = st.binary(max_size=4)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> Any:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=12,
    )


def records(values: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> Any:
    return st.lists(st.dictionaries(keys, values, max_size=6), max_size=5)


def as_json(value: Any) -> bytes:
    """JSON with all that Python lets through: NaN, Infinity, lone surrogates, 5,000 digits."""
    return b"".join(_json(value))


def _json(value: Any) -> Any:
    if isinstance(value, list):
        yield b"[" + b",".join(as_json(v) for v in value) + b"]"
    elif isinstance(value, dict):
        yield b"{" + b",".join(as_json(k) + b":" + as_json(v) for k, v in value.items()) + b"}"
    elif isinstance(value, int) and abs(value) > 2**64:
        yield b"-" * (value < 0) + b"1" + b"0" * int(math.log10(abs(value)))
    else:
        yield json.dumps(value).encode()


LABELS = st.integers(-7, 10) | TEXTS
# Text of CBOR must be UTF-8 to be made at all; what is not comes from mutation.
CBOR_LEAVES = (SCALARS | BYTES).filter(lambda v: not (isinstance(v, str) and "\ud800" in v))
CBOR_KEYS = LABELS.filter(lambda v: v != "\ud800")
TAGS = st.sampled_from([0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 55799])


@st.composite
def with_tags(draw: st.DrawFn) -> bytes:
    """CBOR of anything, with tags of anything within."""
    leaves = CBOR_LEAVES | st.builds(
        lambda tag, value: cbor2.CBORTag(tag, value),
        TAGS,
        CBOR_LEAVES | st.lists(CBOR_LEAVES, max_size=3),
    )
    value = draw(records(leaves, CBOR_KEYS) | nested(leaves, CBOR_KEYS))
    return cbor2.dumps(value)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """An example with some bytes changed: cut, set, or replaced by heads of CBOR or JSON."""
    payload = bytearray(draw(st.sampled_from(examples(TIME_MS))).payload)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(payload)))
        length = draw(st.integers(0, 8))
        pieces = [
            b"", b"\x9f", b"\xff", b"\xc4\x82", b"\xd8\x1c", b"\xd8\x1d\x00", b"\xd9\x01\x02",
            b"\xfb" + struct.pack(">d", math.nan), b"\x9b" + b"\xff" * 8, b"\x5f", b"\x7f", b"\x00",
            b"1e400", b"1" * 5_000, b"[" * 2_000, b'"\\ud800"', b"NaN", b"\n", b"null", b"{", b",",
        ]  # fmt: skip
        payload[at : at + length] = draw(st.sampled_from(pieces) | BYTES)
    return bytes(payload)


PAYLOAD = st.one_of(
    st.binary(max_size=80),
    nested(SCALARS, TEXTS).map(as_json),
    records(SCALARS, TEXTS).map(as_json),
    with_tags(),
    broken(),
)


def is_plain(value: Any) -> bool:
    return value is None or type(value) in (str, int, float, bool)


def attempt(form: Format, payload: bytes, stream: str) -> None:
    """Translate, and check what comes out."""
    try:
        found = form.translate(payload, stream)
    except FormatError as error:
        found = Translated([], [Fault(0, error.reason, error.detail)])
    assert all(f.detail and len(f.detail) < 300 for f in found.faults)
    if form.name == "NDJSON":  # its objects are the sender's own, with keys that are ignored
        return
    for translated in found.objects:
        assert all(type(k) is str and is_plain(v) for k, v in translated.items()), translated


@settings(max_examples=1_000, deadline=None)
@given(FORM, PAYLOAD, STREAM)
def test_a_format_translates_or_refuses(form: Format, payload: bytes, stream: str) -> None:
    """Property: it raises `FormatError` only, and its objects are plain."""
    attempt(form, payload, stream)
    recognised = recognise("", payload)
    if recognised is not None:
        attempt(recognised, payload, stream)


@settings(max_examples=1_000, deadline=None)
@given(
    PAYLOAD,
    STREAM,
    st.sampled_from([""] + [name for f in FORMATS for name in f.content_types]),
)
def test_every_payload_is_decoded_or_refused(
    payload: bytes, stream: str, content_type: str
) -> None:
    """Property: at least one sample or one refusal; what is kept of either decodes to the same."""
    samples, refusals = decode([sent(payload, content_type, stream=stream)], {"battery": 1})
    assert sum(map(len, samples)) + len(refusals) > 0
    assert all(r.detail for r in refusals)
    for s in samples:
        for row in range(len(s)):
            _, kept, item, _ = s.origin(row)
            assert kept
            assert item >= 0


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize(
    "value",
    ["1e400", "-1e400", "1" * 5_000, "NaN", "Infinity", "1" * 30, '"' + "1" * 10_000 + '"',
     '"\\ud800"', '"\\u0000"', "[" * 50_000, '{"a":' * 50_000, "[" * 500 + "]" * 500,
     "-0", "1e-999"],
    ids=lambda v: f"{v[:8]}-{len(v)}",
)  # fmt: skip
def test_a_number_bomb_is_refused_or_harmless(form: Format, value: str) -> None:
    """In every place of every example where a number stands."""
    for example in examples(TIME_MS):
        if example.name == form.name:
            for number in (b"-95", b"-758", b"-103", b"-125.5", b"-102", b"-714", b"-120", b": 7,"):
                attempt(form, example.payload.replace(number, value.encode()), "radio")


@pytest.mark.parametrize("stream", [*STREAMS, BATCH])
@pytest.mark.parametrize(
    "value",
    [10**5_000, -(10**5_000), 2**64, math.nan, math.inf, 1e308, b"\xff", "1" * 10_000, "\0", [],
     {}, [[[]]], cbor2.undefined, cbor2.CBORSimpleValue(99), cbor2.CBORTag(4, [10**9, 1]),
     cbor2.CBORTag(4, [-(10**5), 1]), cbor2.CBORTag(30, [1, 0]), cbor2.CBORTag(35, "(" * 99)],
    ids=lambda v: str(type(v).__name__),
)  # fmt: skip
def test_a_bomb_in_cbor_is_refused_or_harmless(value: Any, stream: str) -> None:
    """As any value of any label, also as a label."""
    form = next(f for f in FORMATS if f.name == "SenML CBOR")
    record = {0: "rsrp_dbm", 6: 1.7e9, 2: -90}
    for label in range(-7, 11):
        attempt(form, cbor2.dumps([record | {label: value}, record]), stream)
    attempt(form, cbor2.dumps([record | {0: "technology", 2: 1}, value]), stream)
    one_more = b"\x81\xa4" + cbor2.dumps(record)[1:] + cbor2.dumps(value) + b"\x01"
    attempt(form, one_more, stream)


def test_shared_references_print_nothing() -> None:
    """Forty arrays, each twice in the next, would be a terabyte as text."""
    bomb = b"\xd8\x1c\x82" * 40 + b"\x01\x01" + b"\xd8\x1d\x00" * 39
    form = next(f for f in FORMATS if f.name == "SenML CBOR")
    attempt(form, b"\x81\xa1\x00" + bomb, "radio")
