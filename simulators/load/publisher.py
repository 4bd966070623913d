"""The load: one loop that hands what is due to sockets that can take it. Meant for a thread.

What it promises:
- a message is published once and counted once; of QoS 1 it stays until its PUBACK, over as many
  connections as that takes;
- what is due and finds no room waits, and its latency goes on counting from when it was due;
- `stop` publishes no more and waits for the PUBACKs of what is under way, for a bounded time.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simulators.load import wire
from simulators.load.connection import Connection
from simulators.load.plan import Plan
from simulators.load.schedule import Schedule
from simulators.load.sessions import Sessions
from simulators.load.tally import Tally

_NAP_S = 0.001
"""After each pass: many small packets then cost one look. So finely are latencies measured."""
_LONGEST_WAIT_S = 0.02
_MOST_A_PASS = 2_000
_GRACE_S = 1.0
"""After the end of the schedule, to send what was due just before it."""
_SAMPLE_EVERY_S = 0.020


class Sample(NamedTuple):
    """One of the messages, to be looked for in the database."""

    device: int
    time_ms: int
    due: float
    """Monotonic clock."""


class Publisher:
    """Publishes a plan; `run` once, in a thread. The other methods may be called meanwhile.

    Args:
        plan: what to publish.
        note: told of a message every 20 ms.
    """

    def __init__(self, plan: Plan, note: Callable[[Sample], None]) -> None:
        self.tally = Tally()
        self._plan, self._note = plan, note
        self._schedule = Schedule(plan.curve) if plan.curve else None
        self._connections = plan.make_connections()
        self._number = {c: i for i, c in enumerate(self._connections)}
        self._sessions = Sessions(plan)
        self._selector = selectors.DefaultSelector()
        self._ready: OrderedDict[Connection, None] = OrderedDict()
        """Those that have room, in turn."""
        self._sampled = 0.0
        self._stopping = self._giving_up = False

    def stop(self) -> None:
        """Publish no more."""
        self._stopping = True

    def give_up(self) -> None:
        """Do not wait for PUBACKs either."""
        self._stopping = self._giving_up = True

    def run(self) -> None:
        """Connect, publish, wait for PUBACKs, leave. Raises `ShudaoError` if it cannot connect."""
        try:
            for connection, session in self._sessions.start(self._connections):
                self._attach(connection, session)
                if self._stopping:
                    return
            self._publish()
            self._await_pubacks()
        finally:
            self._leave()

    def _publish(self) -> None:
        tally, cpu_began = self.tally, time.process_time()
        tally.began = now = time.monotonic()
        while not self._stopping and not self._is_over(now - tally.began):
            due = self._due(now - tally.began)
            self._send(min(due, tally.published + _MOST_A_PASS))
            behind = tally.published < due
            blocked = behind and not self._ready
            if blocked or not behind:
                time.sleep(_NAP_S)
            self._look(0.0 if behind else self._until_next(tally.began))
            before, now = now, time.monotonic()
            tally.seconds = now - tally.began
            tally.asked = due if self._schedule else tally.published
            tally.cpu_s = time.process_time() - cpu_began
            if blocked:
                tally.blocked_s += now - before

    def _is_over(self, seconds: float) -> bool:
        if self._schedule and self.tally.published == self._schedule.total:
            return True
        return seconds > self._plan.duration_s + (_GRACE_S if self._schedule else 0.0)

    def _due(self, seconds: float) -> int:
        """Messages due by now; without a schedule always more than a pass takes."""
        if self._schedule is None:
            return self.tally.published + 2 * _MOST_A_PASS
        return self._schedule.due(seconds)

    def _until_next(self, began: float) -> float:
        """Seconds until the next message is due, within what a look may last."""
        assert self._schedule is not None, "without a schedule some are always due"
        due = began + float(self._schedule.due_at(self.tally.published, 1)[0])
        return min(max(due - time.monotonic(), 0.0), _LONGEST_WAIT_S)

    def _send(self, due: int) -> None:
        """Hand what is due to the connections that have room, in turn."""
        while self.tally.published < due and self._ready:
            connection, _ = self._ready.popitem(last=False)
            left = due - self.tally.published
            self._hand(connection, min(connection.room, self._plan.at_once, left))

    def _hand(self, connection: Connection, count: int) -> None:
        tally, now = self.tally, time.monotonic()
        due = np.full(count, now)
        if self._schedule is not None:
            due = tally.began + self._schedule.due_at(tally.published, count)
        connection.publish(count, tally.published, due)
        tally.published += count
        if now - self._sampled >= _SAMPLE_EVERY_S:
            self._sampled = now
            self._note(Sample(*connection.frames.last, float(due[-1])))
        self._move(connection, selectors.EVENT_WRITE)

    def _look(self, timeout_s: float) -> None:
        """Take what came, and send on where sockets can take it."""
        for key, events in self._selector.select(timeout_s):
            self._move(key.data, events)
        for connection, session in self._sessions.opened():
            self._attach(connection, session)

    def _move(self, connection: Connection, events: int) -> None:
        """Send and receive on a connection."""
        try:
            if events & selectors.EVENT_WRITE:
                connection.send()
            if events & selectors.EVENT_READ:
                self._count(connection)
        except OSError:
            self._reconnect(connection)
            return
        self._watch(connection)
        if connection.room:
            self._ready[connection] = None

    def _count(self, connection: Connection) -> None:
        acknowledged = connection.receive()
        self.tally.acknowledged += len(acknowledged.due)
        self.tally.refused += acknowledged.refused
        self.tally.to_ack.add((time.monotonic() - acknowledged.due) * 1000)

    def _watch(self, connection: Connection) -> None:
        """Wake up when it can send, as long as it has something to send."""
        assert connection.socket is not None
        key = self._selector.get_key(connection.socket)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.is_sending else 0)
        if key.events != events:
            self._selector.modify(connection.socket, events, connection)

    def _attach(self, connection: Connection, session: wire.Session) -> None:
        self.tally.resent += connection.attach(session)
        self.tally.connected += 1
        self._selector.register(session.socket, selectors.EVENT_READ, connection)
        self._move(connection, selectors.EVENT_WRITE)

    def _reconnect(self, connection: Connection) -> None:
        assert connection.socket is not None
        self._selector.unregister(connection.socket)
        self._ready.pop(connection, None)
        connection.detach()
        self.tally.broken += 1
        self.tally.connected -= 1
        self._sessions.reopen(connection, self._number[connection])

    def _await_pubacks(self) -> None:
        left, changed = -1, time.monotonic()
        while not self._giving_up and time.monotonic() - changed < self._plan.patience_s:
            now_left = sum(c.unacknowledged for c in self._connections)
            if not now_left:
                return
            if now_left != left:
                left, changed = now_left, time.monotonic()
            time.sleep(_NAP_S)
            self._look(_LONGEST_WAIT_S)

    def _leave(self) -> None:
        self._sessions.close()
        self._selector.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # nothing is under way any more
                connection.close()
