"""What is published is valid MQTT, valid by the message contract, and can be told apart."""

from __future__ import annotations

import json
from typing import Any

import mqtt5
import numpy as np
import pytest

from shudao.streams import RADIO
from simulators.load import wire
from simulators.load.frames import (
    FIRST_NUMBER,
    Frames,
    array_records,
    draw_bodies,
    single_records,
)

BODIES = draw_bodies(2_000, seed=1)


def packets(raw: memoryview) -> list[mqtt5.PublishPacket]:
    """Parsed by a library that is not ours."""
    found = []
    while raw:
        packet, size = mqtt5.read(raw)
        assert isinstance(packet, mqtt5.PublishPacket)
        found.append(packet)
        raw = raw[size:]
    return found


def make(devices: int, qos: int = 1) -> Frames:
    records = single_records(
        "shudao/v1/telecom/radio/load-", 1_000, BODIES.width, qos=qos, version=wire.Version.V5
    )
    return Frames(records, np.arange(devices), BODIES, seed=1)


def samples(frames: Frames, slot: int, count: int) -> list[dict[str, Any]]:
    return [
        {"device": packet.topic.rpartition("-")[2], **json.loads(packet.payload)}
        for packet in packets(frames.view(slot, count))
    ]


@pytest.mark.parametrize("qos", [0, 1])
def test_every_field_keeps_the_contract(qos: int) -> None:
    """Topic, packet id, and each value in its field's range."""
    frames = make(700, qos)
    frames.take(0, 500, 7)
    for slot, packet in enumerate(packets(frames.view(0, 500))):
        assert packet.topic.startswith("shudao/v1/telecom/radio/load-000000000")
        assert packet.packet_id == (slot + 1 if qos else None)
        sample = json.loads(packet.payload)
        assert sample.pop("time") > 0
        assert sample["cell_id"] == FIRST_NUMBER + 7 + slot
        fields = {f.name: f for f in RADIO.fields}
        assert all(fields[name].low <= v <= fields[name].high for name, v in sample.items())


def test_a_device_never_sends_twice_at_one_time() -> None:
    """Five devices send thousands of messages within a few milliseconds."""
    frames, seen = make(5), set()
    for i, count in enumerate((1, 4, 5, 7, 250, 1, 5, 300)):
        frames.take(0, count, i * 1_000)
        seen |= {(s["device"], s["time"]) for s in samples(frames, 0, count)}
    assert len(seen) == 573


def test_times_do_not_run_ahead_of_the_clock() -> None:
    """A device's next time is later only if it sends again within the millisecond."""
    frames = make(1_000)
    for i in range(200):
        frames.take(0, 1, i)
    first, last = frames.last.time_ms, 0
    frames.take(0, 1, 200)
    last = frames.last.time_ms
    assert last - first < 100


def test_a_duplicate_is_marked_until_its_slot_is_used_again() -> None:
    """MQTT's DUP flag."""
    frames = make(10)
    frames.take(0, 3, 0)
    frames.mark_duplicate(1)
    assert [p.duplicate for p in packets(frames.view(0, 3))] == [False, True, False]
    frames.take(0, 3, 3)
    assert not any(p.duplicate for p in packets(frames.view(0, 3)))


def test_the_last_sample_is_known() -> None:
    """Its device and time: it can be looked for."""
    frames = make(10)
    frames.take(5, 4, 0)
    last = samples(frames, 5, 4)[-1]
    assert frames.last == (int(last["device"]), last["time"])


def test_arrays_have_numbered_samples_and_a_sum() -> None:
    """As the ingest benchmark publishes them, MQTT 3.1.1; the sum is that of the RSRP."""
    records = array_records(
        "shudao/v1/telecom/batch/up", "nb-telecom-", 3, BODIES.width, samples=100
    )
    frames = Frames(records, np.arange(40), BODIES, seed=1)
    rsrp_sum_x100 = frames.take(0, 3, 0)
    rest, found = bytes(frames.view(0, 3)), []
    for packet in (rest[i : i + frames.size] for i in range(0, len(rest), frames.size)):
        found += json.loads(packet[packet.index(b"[{") :])
    assert [s["cell_id"] - FIRST_NUMBER for s in found] == list(range(300))
    assert len({(s["device"], s["time"]) for s in found}) == 300
    assert rsrp_sum_x100 == sum(round(s["rsrp_dbm"] * 100) for s in found)
