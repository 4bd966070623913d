"""Where the private services keep their data, and as whom they run.

PostgreSQL refuses to run as root. When root starts the services they run as an unprivileged user,
who must be able to reach the data: below ``/root`` (mode 700) he cannot, and the data goes to
``/var/lib/shudao`` with a link from the home.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pwd import struct_passwd

from shudao.errors import ShudaoError
from shudao.local import process

ELSEWHERE = Path("/var/lib/shudao")
UNPRIVILEGED = ("postgres", "_postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Place:
    """The home (addresses, logs), the data folder, and the user who runs the services."""

    home: Path
    data: Path
    user: struct_passwd

    def log(self, name: str) -> Path:
        """The log file of a service."""
        return self.home / f"{name}.log"


def service_user() -> struct_passwd:
    """Who runs the services: we, or an unprivileged user when we are root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in UNPRIVILEGED:
        if name in known:
            return known[name]
    raise ShudaoError(
        "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as",
        "create one with `useradd --system postgres`, or run this as an ordinary user",
    )


def prepare(home: Path) -> Place:
    """Make the home and a data folder that the service user can reach.

    Raises `ShudaoError` when we may not write there.
    """
    user = service_user()
    try:
        home.mkdir(parents=True, exist_ok=True)
        data = home / "data"
        if not data.exists():
            data.unlink(missing_ok=True)  # a link whose target was deleted
            _own(data, user)
            if not _reaches(user, data):
                _move_elsewhere(data, user)
        if not _reaches(user, data):
            raise PermissionError(f"user {user.pw_name} cannot write to {data.resolve()}")
    except (OSError, subprocess.SubprocessError) as error:
        raise ShudaoError(
            f"not permitted to keep data in {home} ({error})",
            "run this as the user who owns it, or set SHUDAO_HOME to a folder of yours",
        ) from error
    return Place(home, data.resolve(), user)


def existing(home: Path) -> Place:
    """The place as it is, whether or not anything was ever started there."""
    return Place(home, (home / "data").resolve(), service_user())


def delete_data(place: Place) -> None:
    """Remove the services' data, wherever it lies, and the link to it."""
    shutil.rmtree(place.data, ignore_errors=False)
    link = place.home / "data"
    if link.is_symlink():
        link.unlink()


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Let one process at a time change what runs in this home; others wait here."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("w")
    except OSError as error:
        raise ShudaoError(
            f"not permitted to write to {home} ({error.strerror})",
            "run this as the user who owns it, or set SHUDAO_HOME to a folder of yours",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _own(folder: Path, user: struct_passwd) -> None:
    folder.mkdir(mode=0o700)
    process.give(folder, user)


def _reaches(user: struct_passwd, folder: Path) -> bool:
    """Really try, as that user: modes, ACLs and mounts all have a say."""
    command = ["sh", "-c", 'test -w "$1" && test -x "$1"', "sh", str(folder.resolve())]
    return process.run(command, user=user, folder=Path("/")).returncode == 0


def _move_elsewhere(data: Path, user: struct_passwd) -> None:
    """Replace the (empty) data folder by a link to one outside, named after this home."""
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
    target = ELSEWHERE / name
    if not target.exists():
        _own(target, user)
    data.rmdir()
    data.symlink_to(target)
