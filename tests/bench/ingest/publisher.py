"""The load: many devices behind a few raw MQTT 3.1.1 connections, as its own process.

It is closed-loop: at most ``window`` samples are published and not yet known to be committed (the
board says how many are), so the broker's queue stays bounded. And it keeps account of what it
waited for: a load tool that hides its own limit lies.

    python -m tests.bench.ingest.publisher '{"url": …}'       # prints one JSON object at the end
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from shudao.broker_address import broker_address
from shudao.streams import topic
from simulators.load import wire
from simulators.load.connection import Connection
from simulators.load.frames import Frames, Records, array_records, draw_bodies, single_records
from simulators.load.plan import CARRIERS
from tests.bench.ingest.board import Board
from tests.bench.ingest.tables import FIRST_DEVICE

_NAP_S = 0.005
"""Many small packets then cost one look; the sockets hold far more than what flows meanwhile."""
_RING_BYTES = 2**22
"""Of measurements that a connection may have under way."""
_SILENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to publish: ``samples`` or ``seconds`` (whichever ends first; 0: no limit)."""

    url: str
    board: str
    devices: int
    per_message: int
    """0: one object a message; else arrays of so many."""
    window: int
    """Samples."""
    connections: int
    samples: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    """Messages a second; 0: as fast as window and broker allow."""
    seed: int = 2018

    @property
    def at_once(self) -> int:
        """Messages that a connection is handed in one go, some 100 KiB."""
        if self.per_message:
            return 1
        return int(min(250, max(self.rate / self.connections * 0.005, 1))) if self.rate else 250


@dataclass(slots=True)
class Account:
    """What was published, in which time, and what the publisher waited for.

    Times are of the monotonic clock, which all processes of a machine share.
    """

    messages: int = 0
    samples: int = 0
    rsrp_sum_x100: int = 0
    began: float = 0.0
    """Just before the first publish."""
    last_publish: float = 0.0
    last_puback: float = 0.0
    """That was seen, or the last time that none was expected."""
    ended: float = 0.0
    cpu_s: float = 0.0
    message_bytes: int = 0
    waited_s: dict[str, float] = field(default_factory=dict)
    """Seconds by reason. window: for commits; broker: for PUBACKs, or for it to read; pace: for
    the time of the next message. The rest of the time it worked, or waited for a processor."""


def connections(load: Load) -> list[Connection]:
    """Sessions at the broker, each with the frames of its devices."""
    made, address = [], broker_address(load.url)
    bodies = draw_bodies(load.at_once * max(load.per_message, 1), load.seed)
    at_once_bytes = load.at_once * max(load.per_message, 1) * bodies.width
    ring = max(_RING_BYTES // at_once_bytes, 1) * load.at_once
    per_carrier = load.connections // len(CARRIERS)
    for number in range(load.connections):
        part, index = divmod(number, len(CARRIERS))
        mine = FIRST_DEVICE + np.arange(load.devices)[index :: len(CARRIERS)][part::per_carrier]
        records = _records(load, CARRIERS[index], ring, bodies.width)
        made.append(Connection(Frames(records, mine, bodies, seed=load.seed + number)))
        made[-1].attach(
            wire.open_session(address, f"bench-publisher-{number}", wire.Version.V3_1_1)
        )
    return made


def _records(load: Load, carrier: str, ring: int, body: int) -> Records:
    prefix = f"nb-{carrier}-"
    if not load.per_message:
        return single_records(topic(carrier, "radio", prefix), ring, body)
    uploader = topic(carrier, "batch", f"uploader-{carrier}")
    return array_records(uploader, prefix, ring, body, load.per_message)


class Publisher:
    """Feeds the broker until the load is published and acknowledged."""

    def __init__(self, load: Load, board: Board) -> None:
        self._load, self._board = load, board
        self._connections = connections(load)
        self._account = Account(message_bytes=self._connections[0].frames.size)
        self._per_message = max(load.per_message, 1)

    def run(self) -> Account:
        """Publish. Raises `ConnectionError`, and `TimeoutError` when the broker falls silent."""
        account, cpu = self._account, time.process_time()
        account.began = account.last_puback = time.monotonic()
        while True:
            now = time.monotonic()
            is_over = self._is_over(now)
            waits_for = {self._advance(c, now, is_over=is_over) for c in self._connections}
            if waits_for == {None}:
                break
            # As long as one goes on, nothing is waited for; that commits are is the better reason.
            wait = next(w for w in ("", "window", "pace", "broker") if w in waits_for)
            if wait:
                self._nap(wait)
                self._receive()
        account.cpu_s, account.ended = time.process_time() - cpu, time.monotonic()
        for connection in self._connections:
            connection.close()
        return account

    def _advance(self, connection: Connection, now: float, *, is_over: bool) -> str | None:
        """Send what can be; returns what to wait for, "" for nothing, None when all is done."""
        if not connection.is_sending:
            if is_over:
                return "broker" if connection.unacknowledged else None
            wait = self._next(connection, now)
            if wait:
                return wait
        connection.send()
        return "broker" if connection.is_sending else ""

    def _nap(self, wait: str) -> None:
        before = time.monotonic()
        time.sleep(_NAP_S)
        waited = self._account.waited_s
        waited[wait] = waited.get(wait, 0.0) + time.monotonic() - before

    def _receive(self) -> None:
        """Count PUBACKs: only after a nap, so that many come at once."""
        acknowledged = sum(len(c.receive().due) for c in self._connections)
        now = time.monotonic()
        self._board.acknowledged += acknowledged * self._per_message
        if acknowledged or not any(c.unacknowledged for c in self._connections):
            self._account.last_puback = now
        elif now - self._account.last_puback > _SILENCE_S:
            raise TimeoutError(f"the broker sent no PUBACK for {_SILENCE_S:.0f} s")

    def _is_over(self, now: float) -> bool:
        load, account = self._load, self._account
        return bool(
            self._board.stop
            or (load.samples and account.samples >= load.samples)
            or (load.seconds and now - account.began >= load.seconds)
        )

    def _next(self, connection: Connection, now: float) -> str:
        """Begin the connection's next messages, or tell what they wait for."""
        load, account = self._load, self._account
        count = load.at_once
        if load.samples:
            left = -(-(load.samples - account.samples) // self._per_message)
            count = min(count, left)
        if count <= 0:
            return "broker"
        if load.rate and account.messages + count > load.rate * (now - account.began) + 1:
            return "pace"
        if account.samples - self._board.committed + count * self._per_message > load.window:
            return "window"
        if count > connection.room:
            return "broker"
        account.rsrp_sum_x100 += connection.publish(count, account.samples, now)
        account.messages += count
        account.samples += count * self._per_message
        account.last_publish = now
        self._board.published = account.samples
        return ""


def main() -> None:
    """Publish the load that the argument describes."""
    load = Load(**json.loads(sys.argv[1]))
    account = Publisher(load, Board(Path(load.board))).run()
    print(json.dumps(asdict(account)))


if __name__ == "__main__":
    main()
