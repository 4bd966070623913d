"""Processes by their id: their children, whether they live, signals for them."""

from __future__ import annotations

import os
import signal
import subprocess


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    command = ["ps", "-A", "-o", "pid=,ppid="]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    pairs = zip(map(int, table[::2]), map(int, table[1::2]), strict=True)
    return [child for child, parent in pairs if parent == pid]


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False for a process that has ended by itself meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def is_alive(pid: int) -> bool:
    """Whether it runs, be it stopped; a zombie does not."""
    state = ["ps", "-o", "state=", "-p", str(pid)]
    found = subprocess.run(state, capture_output=True, text=True, check=False).stdout.strip()
    return bool(found) and not found.startswith("Z")
