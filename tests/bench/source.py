"""CPU per message of each MQTT source: QoS 1 messages received and acknowledged, nothing else.

    python -m tests.bench.source                     # on the private broker
    python -m tests.bench.source --messages 500000 --rate 50000

The sender is another process that writes prebuilt frames to a plain socket. Machines are noisy:
read the ratios between the lines of one run, not the microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import select
import socket
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import mqtt5
import uvloop

from ingest.sources import Source, SourceOptions
from shudao.broker_address import broker_address
from shudao.local import down, status, up
from shudao.settings import get_settings
from tests.ingest.reading import SOURCES, reading

PAYLOAD = b'{"time":1795510599506,"rsrp_dbm":-95.0,"sinr_db":5.0,"ecl":0,"pci":101,"earfcn":2506}'


class Measured(NamedTuple):
    """What receiving a message took, and how fast they came."""

    cpu_us: float
    per_s: float


def publish(url: str, topic: str, messages: int, rate: int) -> None:
    """Send QoS 1 messages over MQTT 3.1.1, at a rate or (0) as fast as the broker takes them."""
    address = broker_address(url)
    body = struct.pack("!H", len(topic)) + topic.encode()
    size = len(body) + 2 + len(PAYLOAD)
    head = b"\x32" + bytes([size & 127 | 128, size >> 7]) + body
    frames = [head + struct.pack("!H", i % 65_535 + 1) + PAYLOAD for i in range(messages)]
    burst = max(rate // 200, 1) if rate else 1_000
    with socket.create_connection((address.host, address.port)) as broker:
        broker.sendall(
            b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04" + uuid.uuid4().bytes[:2].hex().encode()
        )
        broker.recv(4)
        began, answered = time.perf_counter(), 0
        for first in range(0, messages, burst):
            broker.sendall(b"".join(frames[first : first + burst]))
            while first + burst - answered // 4 > 20_000 or select.select([broker], [], [], 0)[0]:
                answered += len(broker.recv(2**16))
            if rate:
                time.sleep(max(began + first / rate - time.perf_counter(), 0))
        while answered < 4 * messages:
            answered += len(broker.recv(2**16))


async def measure(
    make: Callable[[SourceOptions], Source], url: str, messages: int, rate: int
) -> Measured:
    """Receive them all; the clocks start with the second batch."""
    topic = f"bench/{uuid.uuid4().hex}"
    options = SourceOptions(url=url, client_id=uuid.uuid4().hex, topic=f"{topic}/#")
    async with reading(make(options)) as reader:
        sender = multiprocessing.get_context("spawn").Process(
            target=publish, args=(url, f"{topic}/nb-telecom-a", messages, rate)
        )
        sender.start()
        first = len(await reader.receive(1))
        began, cpu_s = time.perf_counter(), time.process_time()
        await reader.receive(messages - first)
        cpu_s, taken_s = time.process_time() - cpu_s, time.perf_counter() - began
        await asyncio.to_thread(sender.join)
    async with reading(make(replace(options, retire=True))) as reader:
        assert not await reader.rest(3), "messages came twice"
    counted = messages - first
    return Measured(cpu_s / counted * 1e6, counted / taken_s)


def parse_alone(messages: int) -> float:
    """Microseconds of `mqtt5.read` and the four attributes, without anything else."""
    frame = mqtt5.PublishPacket(
        "bench/0123456789abcdef0123456789abcdef/nb-telecom-a", PAYLOAD,
        qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7,
    ).write()  # fmt: skip
    window, at = memoryview(frame * 1_000), 0
    began = time.process_time()
    for _ in range(messages // 1_000):
        at = 0
        while at < len(window):
            packet, size = mqtt5.read(window[at:])
            _ = packet.topic, packet.payload, packet.content_type, packet.packet_id  # type: ignore[union-attr]
            at += size
    return (time.process_time() - began) / (messages // 1_000 * 1_000) * 1e6


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--gc", type=int, default=0, help="collector's threshold; 0: Python's own")
    parser.add_argument("--rate", type=int, default=0, help="a second; 0: as fast as it goes")
    options = parser.parse_args()
    if options.gc:
        gc.set_threshold(options.gc)
    settings = get_settings()
    ran_before = any(s.running for s in status(settings.home))
    url = settings.mqtt_url or up(settings.home).mqtt_url
    alone = parse_alone(options.messages)
    print(f"{'parser alone':<16}{alone:>8.2f} µs of CPU a message")
    base = 0.0
    for name, make in SOURCES.items():
        measured = uvloop.run(measure(make, url, options.messages, options.rate))
        base = base or measured.cpu_us
        print(
            f"{name:<16}{measured.cpu_us:>8.2f} µs of CPU a message"
            f" {measured.cpu_us / base:>7.1f} × {measured.per_s:>11,.0f}/s"
        )
    if not settings.mqtt_url and not ran_before:
        down(settings.home)


if __name__ == "__main__":
    main()
