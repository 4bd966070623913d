"""Which format a payload is taken for: by its content type, by its shape, or by neither."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import Message
from ingest.decode import decode
from ingest.formats import FORMATS, recognise
from ingest.reasons import Reason
from shudao.streams import STREAMS
from tests.ingest.payloads import (
    QENG_GSM,
    TIME_MS,
    Example,
    as_cbor,
    examples,
    ndjson,
    oceanconnect,
    senml,
    sent,
)

EXAMPLES = examples(TIME_MS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.name}-{len(e.payload)}")
def test_a_payload_is_recognised_by_content_type_and_by_shape(example: Example) -> None:
    """And by nothing else than its own."""
    for content_type, payload in ((example.content_type, b"?"), ("", example.payload)):
        form = recognise(content_type, payload)
        assert form is not None
        assert form.name == example.name
    assert [f.name for f in FORMATS if f.fits(example.payload)] == [example.name]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.name}-{len(e.payload)}")
@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
def test_an_unknown_content_type_hinders_no_format(content_type: str, example: Example) -> None:
    """Platforms send all they have as application/json."""
    samples, refusals = decode([sent(example.payload, content_type)], {})
    assert refusals == []
    assert [len(s) for s in samples] == [example.samples]


FIELDS = {f.name for s in STREAMS.values() for f in s.fields}
LURES = st.sampled_from(
    ["n", "v", "bn", "bt", "notifyType", "services", "params", "key", "Signal power:", "+QENG:",
     "NUESTATS:", "time:1", "}\n{", "{}\n{}"]
)  # fmt: skip
CONTRACT = st.dictionaries(
    LURES | st.text(max_size=5),
    LURES | st.none() | st.integers(-200, 200) | st.lists(LURES, max_size=2),
    max_size=5,
).map(lambda more: {k: v for k, v in more.items() if k not in FIELDS} | {"time": TIME_MS, "pci": 1})


@given(
    CONTRACT | st.lists(CONTRACT, min_size=1, max_size=3),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from(["", "application/json"]),
)
def test_compact_json_is_taken_for_nothing_else(
    value: Any, indent: int | None, ascii_only: bool, content_type: str
) -> None:
    """Whatever its unknown keys and texts look like."""
    payload = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    samples, refusals = decode([sent(payload, content_type)], {})
    assert refusals == []
    assert [len(s) for s in samples] == [len(value) if isinstance(value, list) else 1]
    [decoded] = samples
    _, _, _, kept_content_type = decoded.origin(0)
    assert kept_content_type == ""


@pytest.mark.parametrize(
    "payload",
    [b"", b" ", b"{", b"[", b"[]", b"{}", b"[1]", b"[{}]", b'[{"time": 1, "n": 1}]', b'{"n": "x"}',
     b'{"a": {}\n, "b": 1}', b'{"a": [{}\n,{}]}', b"7", b"null", b"\xff", b"time:1",
     b'{"a": "Signal power:"}', b'["+QENG: 0,1"]', b'{"a": "NUESTATS:"'],
)  # fmt: skip
def test_what_looks_like_nothing_is_left_to_compact_json(payload: bytes) -> None:
    """Which then says what is wrong with it."""
    assert recognise("", payload) is None
    assert recognise("application/json", payload) is None


def refusals_of(message: Message) -> list[tuple[Reason, str, str]]:
    """Of a message of which nothing is stored: reason, detail, content type that is kept."""
    samples, refusals = decode([message], {"battery": 1})
    assert samples == []
    assert {r.payload for r in refusals} == {message.payload}
    return [(r.reason, r.detail, r.content_type) for r in refusals]


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not e.on_batch and e.samples == 1])
def test_what_names_no_device_is_refused_on_the_batch_topic(example: Example) -> None:
    """With where to publish it."""
    message = sent(example.payload, example.content_type, stream="batch")
    assert refusals_of(message) == [
        (
            Reason.INVALID_FIELD,
            f"{example.name}: the payload names no device: publish it on the device's own topic",
            example.content_type,
        )
    ]


BY_FIELD_NAMES = {json.dumps(senml(TIME_MS)).encode(), as_cbor(senml(TIME_MS)), ndjson(TIME_MS)}


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.payload not in BY_FIELD_NAMES])
@pytest.mark.parametrize("stream", ["broadband", "reading"])
def test_radio_is_refused_on_a_topic_of_another_stream(stream: str, example: Example) -> None:
    """The topic says what its samples are."""
    message = sent(example.payload, example.content_type, stream=stream)
    assert refusals_of(message) == [
        (
            Reason.INVALID_FIELD,
            f"{example.name}: a sample of radio on a topic of {stream}: publish it under radio",
            example.content_type,
        )
    ]


def test_a_refused_payload_keeps_the_content_type_that_it_had() -> None:
    """Also none, and one that says nothing."""
    for content_type in ("", "text/plain", "text/x-qeng"):
        message = sent(QENG_GSM.format(t=TIME_MS).encode(), content_type)
        [(reason, detail, kept)] = refusals_of(message)
        assert (reason, kept) == (Reason.MALFORMED, content_type)
        assert detail == "a serving cell has 13 values, not 20"


def test_two_faults_of_a_payload_are_two_refusals() -> None:
    """Each with its own number behind the samples, so that neither is taken for the other."""
    payload = b'{"time":\n' + ndjson(TIME_MS) + b"[]\n"
    samples, refusals = decode([sent(payload, "application/x-ndjson")], {})
    assert [len(s) for s in samples] == [2]
    assert [(r.item, r.reason) for r in refusals] == [
        (2, Reason.MALFORMED), (3, Reason.INVALID_FIELD),
    ]  # fmt: skip
    assert [r.detail.partition(":")[0] for r in refusals] == ["NDJSON, part 0", "NDJSON, part 4"]


def test_too_many_objects_are_refused_whole() -> None:
    """As of an array; so are none."""
    [(reason, detail, _)] = refusals_of(sent(b'{"time":1}\n' * 60_000))
    assert (reason, detail) == (Reason.TOO_MANY, "the array holds 60,000 objects")
    pack = [{"bn": "x", "bt": TIME_MS}]
    [(reason, _, _)] = refusals_of(sent(as_cbor(pack), "application/senml+cbor"))
    assert reason is Reason.EMPTY


def test_a_large_message_is_not_kept_for_each_of_its_samples() -> None:
    """16 times at most; its samples are kept as objects of the contract, which say the same."""
    pack = [{"n": f"nobody-{i}/rsrp_dbm", "bt": 1.7e9, "v": -90} for i in range(500)]
    payload = json.dumps(pack).encode()
    [samples], refusals = decode([sent(payload, stream="batch")], {})
    assert refusals == []
    kept = [samples.origin(i) for i in range(len(samples))]
    assert sum(len(o.payload) for o in kept) < 3 * len(payload)
    assert {o.content_type for o in kept} == {""}
    topic = sent(payload, stream="batch").topic
    [again], refusals = decode([Message(topic, o.payload, 1) for o in kept], {})
    assert refusals == []
    assert again.device == samples.device
    assert (again.time_ms == samples.time_ms).all()
    assert (again.values[:, 0] == samples.values[:, 0]).all()


def test_a_large_message_is_not_kept_for_each_of_its_faults() -> None:
    """The last one kept stands for the rest; what is right is stored."""
    payload = b'{"time": 1, "pci": 1}\n' + b"[]\n" * 999
    [samples], refusals = decode([sent(payload, "application/x-ndjson")], {})
    assert len(samples) == 1
    assert len(refusals) == 16
    assert refusals[14].detail == "NDJSON, part 15: the line is no object but list"
    assert refusals[15].detail.endswith("the line is no object but list; 983 more parts are wrong")


def test_a_name_that_every_sample_carries_is_short() -> None:
    """A megabyte of it, in each of some thousand samples, would be gigabytes and minutes."""
    name = "a" * 1_000_000
    pack = [{"bn": name, "bt": 1.7e9}, *({"n": "/ecl", "v": 1} for _ in range(20_000))]
    body = oceanconnect(TIME_MS) | {"deviceId": name}
    began = time.process_time()
    for payload in (json.dumps(pack).encode(), as_cbor(pack), json.dumps(body).encode()):
        samples, refusals = decode([sent(payload, stream="batch")], {})
        assert samples == []
        assert "of more than 256 characters" in refusals[0].detail
    assert time.process_time() - began < 5
