"""What goes wrong on purpose with single devices and messages, decided by the seed.

What goes wrong in an area is in `simulators.area_faults`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from simulators.area_faults import AreaFault
from simulators.draws import Draws
from simulators.messages import Message
from simulators.places import Bools, Ints

LATE_BY_MS = 30_000
"""A late message comes after at most so long."""

MOST_AHEAD_MS = 86_400_000
RESET_TO_MS = 946_684_800_000
"""A clock that is wrong is up to a day (at least an hour) ahead, or was reset to the year 2000."""

_BROKEN = {"radio": ("rsrp_dbm", "-95.0"), "broadband": ("down_mbps", "50.0"),
           "reading": ("value", "1.0")}  # fmt: skip
_SENTINELS = {
    "radio": (("rsrp_dbm", -32768), ("sinr_db", -32768), ("ecl", 255), ("earfcn", 0xFFFF_FFFF),
              ("rsrp_dbm", -815)),
    "broadband": (("down_mbps", -1), ("rtt_ms", 0xFFFF_FFFF)),
    "reading": (),
}  # fmt: skip
"""What modules and probes send for "not measured", and tenths of dBm for dBm."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares, 0 … 1.

    Of messages: ``malformed`` ones and ``sentinels`` are sent besides, ``duplicates`` are sent
    twice, ``late`` fresh ones come after newer ones. Of devices: ``shuffled`` histories are out of
    order, ``clocks`` are wrong, ``silent`` ones send nothing after their history. ``flood``: one
    device sends so many messages a second besides. ``areas`` fail as they are listed, with
    times that count from the start, and others by chance, ``areas_per_hour``.
    """

    malformed: float = 0.001
    duplicates: float = 0.002
    late: float = 0.002
    shuffled: float = 0.01
    sentinels: float = 0.0
    clocks: float = 0.0
    silent: float = 0.0
    flood: float = 0.0
    areas: tuple[AreaFault, ...] = ()
    areas_per_hour: float = 0.0


NO_FAULTS = Faults(0, 0, 0, 0)


class FaultInjector:
    """Adds faults to a sequence of messages. A message that is still held back when the sequence
    ends was never sent."""

    def __init__(self, draws: Draws, faults: Faults) -> None:
        self._draws, self._faults = draws, faults
        self._serial = 0
        self._held: list[tuple[int, int, Message]] = []
        self._order = count()

    def is_shuffled(self, device: Ints) -> Bools:
        """Whether the history of each device is out of order."""
        return self._happens("shuffled", device, self._faults.shuffled)

    def is_silent(self, device: Ints) -> Bools:
        """Whether each device sends nothing after its history."""
        return self._happens("silent", device, self._faults.silent)

    def has_wrong_clock(self, device: Ints) -> Bools:
        """Whether what each device sends after its history has a time that cannot be."""
        return self._happens("clocks", device, self._faults.clocks)

    def clock_error_ms(self, device: Ints, start_ms: int) -> Ints:
        """How far each device's clock is ahead: one that was reset restarted with us."""
        drawn = self._draws.uniform("fault/clocks/how", device)
        ahead = MOST_AHEAD_MS * (1 + 23 * (2 * drawn - 1)) / 24
        wrong = np.where(drawn < 0.5, RESET_TO_MS - start_ms, ahead).astype(np.int64)
        return np.where(self.has_wrong_clock(device), wrong, 0)

    def hold(self, message: Message, until_ms: int) -> None:
        """Keep a message back."""
        heapq.heappush(self._held, (until_ms, next(self._order), message))

    def inject(
        self, messages: list[Message], now_ms: int, *, may_be_late: bool
    ) -> Iterator[Message]:
        """The messages: some held back, some twice, refused ones beside them; then those whose
        time has come."""
        f = self._faults
        serials = self._serial + 1 + np.arange(len(messages))
        self._serial += len(messages)
        late = self._happens("late", serials, f.late if may_be_late else 0.0)
        twice = self._happens("duplicate", serials, f.duplicates)
        broken = self._happens("malformed", serials, f.malformed)
        sentinel = self._happens("sentinel", serials, f.sentinels)
        delay = (self._draws.uniform("fault/delay", serials) * LATE_BY_MS).astype(np.int64)
        for i, (serial, message) in enumerate(zip(serials.tolist(), messages, strict=True)):
            if late[i]:
                self.hold(replace(message, fault=message.fault or "late"), now_ms + int(delay[i]))
            else:
                yield message
                if twice[i] and message.kind == "valid":
                    yield replace(message, kind="duplicate", fault="duplicate")
            if broken[i]:
                yield malformed(serial, message, now_ms)
            if sentinel[i]:
                yield from sentinels(serial, message, now_ms)
        while self._held and self._held[0][0] <= now_ms:
            yield heapq.heappop(self._held)[2]

    def _happens(self, fault: str, numbers: Ints, share: float) -> Bools:
        return np.asarray(self._draws.uniform(f"fault/{fault}", numbers) < share)


def malformed(serial: int, like: Message, time_ms: int) -> Message:
    """The malformed message ``serial``, on the topic of another: must end in quarantine, once.

    In turn: broken JSON, a number as text, and a device that nobody registered. The serial makes
    each one different.
    """
    prefix, stream, device = like.topic.rsplit("/", 2)
    field, good = _BROKEN[stream]
    value, end, name = [("-9", "", device), ('"unknown"', "}", device),
                        (good, "}", f"ghost-{serial}")][serial % 3]  # fmt: skip
    metric = ',"metric":"battery"' if stream == "reading" else ""
    payload = f'{{"serial":{serial},"time":{time_ms}{metric},"{field}":{value}{end}'
    return _refused(f"{prefix}/{stream}/{name}", payload, like, "malformed")


def sentinels(serial: int, like: Message, time_ms: int) -> Iterator[Message]:
    """A message with a value that means "not measured": must end in quarantine, once."""
    kinds = _SENTINELS[like.topic.split("/")[3]]
    if kinds:
        field, value = kinds[serial % len(kinds)]
        payload = f'{{"serial":{serial},"time":{time_ms},"{field}":{value}}}'
        yield _refused(like.topic, payload, like, "sentinel")


def _refused(topic: str, payload: str, like: Message, fault: str) -> Message:
    return Message(
        topic, payload.encode(), 1, "malformed", like.prefecture, like.carrier, fault=fault
    )
