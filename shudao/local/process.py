"""Start, recognise and stop a background process that outlives its starter."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pwd import struct_passwd
from typing import IO
from zlib import crc32

from shudao.errors import ShudaoError

HOST = "127.0.0.1"
# Below the range that systems hand out to outgoing connections (32768 and up on Linux).
FIRST_PORT, PORTS = 20_000, 12_000


def start(command: Sequence[str], *, log: Path, folder: Path, user: struct_passwd) -> int:
    """Run ``command`` in ``folder`` as ``user``, output appended to ``log``; return its pid.

    It gets a session of its own, so a Ctrl-C in the terminal does not reach it, and as many
    open files (connections, for a broker) as the system allows.
    """
    script = 'ulimit -n "$(ulimit -H -n)"; "$@" </dev/null >&2 & echo $!'
    with log.open("ab") as output:
        done = run(["sh", "-c", script, "sh", *command], user=user, folder=folder, errors=output)
    done.check_returncode()
    return int(done.stdout)


def run(
    command: Sequence[str],
    *,
    user: struct_passwd,
    folder: Path,
    feed: str = "",
    errors: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as ``user`` to its end, ``feed`` on its input; its output is captured."""
    switch = user.pw_uid != os.geteuid()  # only root may, and only then it is needed
    return subprocess.run(
        command,
        input=feed,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        cwd=folder,
        start_new_session=True,
        check=False,
        user=user.pw_uid if switch else None,
        group=user.pw_gid if switch else None,
        extra_groups=os.getgrouplist(user.pw_name, user.pw_gid) if switch else None,
    )


def give(path: Path, user: struct_passwd) -> None:
    """Make ``user`` the owner of a file or folder that we made."""
    if user.pw_uid != os.geteuid():
        os.chown(path, user.pw_uid, user.pw_gid)


def is_running(pid: int | None, mark: Path) -> bool:
    """Whether ``pid`` lives and has ``mark`` among its arguments, so is not someone else's.

    A pid read from a file may be stale: after a reboot it can belong to any process.
    """
    return pid is not None and pid > 0 and str(mark) in _arguments(pid)


def _arguments(pid: int) -> list[str]:
    """The command line of a living process; empty when there is none (or only its zombie)."""
    if Path("/proc/self/cmdline").exists():
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return os.fsdecode(raw).split("\0")
    command = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def stop(pid: int, mark: Path, *, name: str, by: signal.Signals, patience_s: float) -> None:
    """Signal a process and wait until it has gone. Raises `ShudaoError` when it stays."""
    try:
        os.kill(pid, by)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise ShudaoError(
            f"not permitted to stop {name} (pid {pid}), which another user started",
            "run this as the user who started it",
        ) from error
    if not wait_until(lambda: not is_running(pid, mark), patience_s):
        raise ShudaoError(
            f"{name} (pid {pid}) did not stop within {patience_s:.0f} s",
            f"look into its log; `kill -9 {pid}` loses nothing that was committed",
        )


def wait_until(condition: Callable[[], bool], patience_s: float) -> bool:
    """Look every 20 ms until ``condition`` holds; False when ``patience_s`` run out first."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(pid: int, port: int) -> bool:
    """Whether that very process accepts connections on that loopback port.

    That someone answers is not enough: another program may have taken the port before it.
    Where the system does not tell who listens (no /proc), an answer has to do.
    """
    table = Path("/proc/net/tcp")
    if not table.exists():
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0
    address = f"0100007F:{port:04X}"  # 127.0.0.1, little-endian
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == address and row[3] == "0A"}
    try:
        return bool(sockets) and any(
            str(entry.readlink()) in sockets for entry in Path(f"/proc/{pid}/fd").iterdir()
        )
    except FileNotFoundError:  # it ended, or closed one of its files, while we looked
        return False


def free_ports(remembered: int | None, key: str) -> Iterator[int]:
    """Free ports to try: the remembered one first, then from a start that ``key`` fixes.

    So a checkout keeps its ports, and two checkouts seldom want the same.
    """
    if remembered is not None and is_free(remembered):
        yield remembered
    first = crc32(key.encode())
    for step in range(PORTS):
        port = FIRST_PORT + (first + step) % PORTS
        if is_free(port):
            yield port


def tail(log: Path, offset: int = 0, lines: int = 5) -> str:
    """The last lines of what was written to ``log`` after ``offset`` bytes."""
    with log.open("rb") as file:
        file.seek(offset)
        text = file.read().decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-lines:])
