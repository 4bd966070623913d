"""Whatever arrives: it is decoded or refused, never both, never neither, and never a crash."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.batch import Message, Samples
from ingest.decode import decode
from ingest.reasons import ADVICE, Reason
from shudao.streams import STREAMS, topic

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["time", "rsrp_dbm", "ecl", "technology", "device", "stream", "metric"])
            | st.text(max_size=4),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
PAYLOAD = st.one_of(st.binary(max_size=60), JSON.map(lambda v: json.dumps(v).encode()))
TOPIC = st.one_of(
    st.text(max_size=20),
    st.builds(
        topic,
        st.sampled_from(["telecom", "broadnet", "nobody"]),
        st.sampled_from([*STREAMS, "batch", "radar"]),
        st.text(min_size=1, max_size=5),
    ),
)


def objects(payload: bytes) -> int:
    """How many samples a payload claims to hold."""
    try:
        value: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return 1
    return max(len(value), 1) if isinstance(value, list) else 1


def counted(messages: list[Message]) -> tuple[int, int]:
    """Number of samples decoded and refused; checks the shapes on the way."""
    samples, refusals = decode(messages, {"battery": 1})
    assert all(r.detail for r in refusals)
    for s in samples:
        assert s.values.shape == (len(s), len(s.stream.fields))
        assert len(s.device) == len(s.time_ms) == len(s.technology_id) == len(s)
    return sum(len(s) for s in samples), len(refusals)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(TOPIC, PAYLOAD), max_size=6))
def test_every_object_is_decoded_or_refused(sent: list[tuple[str, bytes]]) -> None:
    """Property: of a message each object, or else the message as a whole; no message matters to
    another."""
    messages = [Message(t, p, 1) for t, p in sent]
    alone = [counted([m]) for m in messages]
    for message, (decoded, refused) in zip(messages, alone, strict=True):
        assert decoded + refused == objects(message.payload) or (decoded, refused) == (0, 1)
    assert counted(messages) == (sum(d for d, _ in alone), sum(r for _, r in alone))


def one(samples: list[Samples]) -> Samples:
    assert len(samples) == 1
    return samples[0]


NUMBER = st.none() | st.floats(-150, -40)


@given(st.lists(st.fixed_dictionaries({"time": st.integers(0, 2**41), "rsrp_dbm": NUMBER})))
def test_an_array_decodes_to_its_values(items: list[dict[str, Any]]) -> None:
    """Numbers come through unchanged, null and a missing key are both absent."""
    payload = json.dumps(items).encode()
    samples, refusals = decode([Message(topic("telecom", "radio", "a"), payload, 1)], {})
    if not items:
        assert ([r.reason for r in refusals], samples) == ([Reason.EMPTY], [])
        return
    assert not refusals
    got = one(samples)
    assert got.time_ms.tolist() == [i["time"] for i in items]
    wanted = [np.nan if i["rsrp_dbm"] is None else i["rsrp_dbm"] for i in items]
    np.testing.assert_array_equal(got.values[:, 0], wanted)
    assert np.isnan(got.values[:, 1:]).all()


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_wrong_objects_leave_their_neighbours_alone(good: list[bool]) -> None:
    """Each refusal carries its own object and position, each good sample its own payload."""
    items = [{"time": i, "ecl": 1 if ok else "one"} for i, ok in enumerate(good)]
    message = Message(topic("mobile", "radio", "a"), json.dumps(items).encode(), 1)
    samples, refusals = decode([message], {})
    assert [r.item for r in refusals] == [i for i, ok in enumerate(good) if not ok]
    assert all(r.reason is Reason.INVALID_FIELD for r in refusals)
    assert [json.loads(r.payload) for r in refusals] == [i for i in items if i["ecl"] != 1]
    if samples:
        got = one(samples)
        origins = [got.origin(row) for row in range(len(got))]
        assert [json.loads(payload)["time"] for _, payload, _, _ in origins] == got.time_ms.tolist()


def test_every_reason_tells_its_sender_what_to_do() -> None:
    """The vocabulary is complete."""
    assert set(ADVICE) == set(Reason)
