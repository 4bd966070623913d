"""CPU seconds and memory of process trees."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

import numpy as np
import psutil

MIB = 2**20
_MEMORY_EVERY_S = 0.5
_WARM_UP_S, _MINUTE_S = 30.0, 60.0


def tree(pid: int, *, with_children: bool = True) -> list[psutil.Process]:
    """A process and all its descendants; empty when it has gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *(parent.children(recursive=True) if with_children else ())]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """CPU seconds of a tree: of those that live, and of children that ended and were waited for.

    PostgreSQL's backends come and go: when one ends, its time moves to the postmaster's account.
    """
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # ended meanwhile: its parent has its time now, or will have
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_mib(pid: int, *, with_children: bool) -> float:
    """Resident memory; pages that the processes of a tree share count in each of them."""
    total = 0
    for process in tree(pid, with_children=with_children):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / MIB


@dataclass(slots=True)
class Meter:
    """CPU seconds since `start`, and memory over time, of named process trees."""

    pids: dict[str, int]
    began: dict[str, float] = field(default_factory=dict)
    system_began: tuple[float, float] = (0.0, 0.0)
    at: list[float] = field(default_factory=list)
    rss: dict[str, list[float]] = field(default_factory=dict)

    def start(self) -> None:
        """Begin; memory is noted at most every half a second."""
        self.began = {name: cpu_s(pid) for name, pid in self.pids.items()}
        self.system_began = _system_s()
        self.rss = {name: [] for name in self.pids}

    def sample(self) -> None:
        """Note the memory of broker and ingester now, unless that was done a moment ago."""
        if self.at and time.monotonic() - self.at[-1] < _MEMORY_EVERY_S:
            return
        self.at.append(time.monotonic())
        # To look for children costs a look at every process: only the ingester has any to count.
        self.rss["broker"].append(rss_mib(self.pids["broker"], with_children=False))
        self.rss["ingester"].append(rss_mib(self.pids["ingester"], with_children=True))

    def used_s(self) -> dict[str, float]:
        """CPU seconds of each since the start."""
        return {name: cpu_s(pid) - self.began[name] for name, pid in self.pids.items()}

    def shares(self, used_s: dict[str, float]) -> dict[str, float]:
        """Of all processors since the start: what each used, what others did, what was idle."""
        (busy_began, idle_began), (busy, idle) = self.system_began, _system_s()
        all_s = max(busy - busy_began + idle - idle_began, 1e-9)
        others_s = max(busy - busy_began - sum(used_s.values()), 0.0)
        parts = used_s | {"others": others_s, "idle": idle - idle_began}
        return {name: round(seconds / all_s, 3) for name, seconds in parts.items()}


def _system_s() -> tuple[float, float]:
    """CPU seconds of the whole machine since it started: busy and idle, all processors together."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # are in user already
    return sum(times) - idle - guests, idle


def memory(at: list[float], rss: list[float], until: float) -> dict[str, object]:
    """How memory (MiB) went: its peak, its tenths until the last commit, and whether it grows.

    Growth is told of runs that are long enough: medians of the first minute after the warm-up and
    of the last minute, and the slope of the straight line through all after the warm-up.
    """
    peak = round(max(rss), 1)
    is_during = np.array(at) <= max(until, at[0])
    times, values = np.array(at)[is_during] - at[0], np.array(rss)[is_during]
    tenths = [round(float(np.median(v)), 1) for v in np.array_split(values, 10) if len(v)]
    out: dict[str, object] = {"peak_mib": peak, "tenths_mib": tenths}
    if times[-1] < _WARM_UP_S + 2 * _MINUTE_S:
        return out
    warm = times >= _WARM_UP_S
    first = values[warm & (times < _WARM_UP_S + _MINUTE_S)]
    slope = np.polyfit(times[warm] / 60, values[warm], 1)[0]
    return out | {
        "first_minute_mib": round(float(np.median(first)), 1),
        "last_minute_mib": round(float(np.median(values[times >= times[-1] - _MINUTE_S])), 1),
        "slope_mib_per_min": round(float(slope), 3),
    }
