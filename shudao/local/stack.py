"""Bring the private services of a home up and down, and write where they listen."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shudao.errors import ShudaoError
from shudao.local import broker, place, postgres
from shudao.settings import LOCAL_FILE


@dataclass(frozen=True, slots=True)
class LocalServices:
    """Where the running services listen, and where their data lies."""

    database_url: str
    mqtt_url: str
    data: Path


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service: whether it runs, where, and how many bytes it keeps on disk."""

    name: str
    running: bool
    pid: int | None
    port: int | None
    data: Path
    size: int
    log: Path


def up(home: Path, *, strict: bool | None = None) -> LocalServices:
    """Start what does not run, make what does not exist, and return the addresses.

    ``strict`` chooses the broker's profile (see ``mosquitto.conf``); None keeps the last one.
    Safe to call twice and by two processes at once. Raises `ShudaoError`.
    """
    home = home.resolve()
    with place.locked(home):
        here = place.prepare(home)
        known = addresses(home)
        if strict is None:
            strict = broker.is_strict(here)
        mqtt_port = broker.start(here, _port(known.get("mqtt_url")), strict=strict)
        database_port = postgres.start(here, _port(known.get("database_url")))
        services = LocalServices(
            postgres.database_url(here, database_port), broker.mqtt_url(mqtt_port), here.data
        )
        _write_addresses(home, services)
    return services


def down(home: Path, *, delete_data: bool = False) -> list[str]:
    """Stop both cleanly; return the names of those that ran. Raises `ShudaoError`."""
    home = home.resolve()
    if not home.exists():
        return []
    with place.locked(home):
        here = place.existing(home)
        stopped = [s.NAME for s in (broker, postgres) if s.stop(here)]
        if delete_data and here.data.exists():
            place.delete_data(here)
            (home / LOCAL_FILE).unlink(missing_ok=True)
    return stopped


def status(home: Path) -> list[ServiceStatus]:
    """What runs here and what it takes on disk; changes nothing."""
    home = home.resolve()
    here = place.existing(home)
    known = addresses(home)
    pids = (postgres.running_pid(here), broker.running_pid(here))
    ports = (_port(known.get("database_url")), _port(known.get("mqtt_url")))
    names = (postgres.NAME, broker.NAME)
    folders = (postgres.cluster(here), broker.folder(here))
    return [
        ServiceStatus(name, pid is not None, pid, port, data, _size(data), here.log(name))
        for name, pid, port, data in zip(names, pids, ports, folders, strict=True)
    ]


def _port(url: str | None) -> int | None:
    return urlsplit(url).port if url else None


def addresses(home: Path) -> dict[str, str]:
    """The addresses last written in this home, by name; empty before the first start."""
    try:
        return dict(json.loads((home / LOCAL_FILE).read_text()))
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise ShudaoError(
            f"not permitted to read {home / LOCAL_FILE}",
            "run this as the user who started the services, or set SHUDAO_HOME",
        ) from error


def _write_addresses(home: Path, services: LocalServices) -> None:
    """Replace the file in one go, readable to its owner alone: it holds a password."""
    text = json.dumps(
        {"database_url": services.database_url, "mqtt_url": services.mqtt_url}, indent=2
    )
    path = home / LOCAL_FILE
    if path.exists() and path.read_text() == text:
        return
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def _size(folder: Path) -> int:
    """Bytes on disk; files that a running server removes meanwhile do not count."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(root) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
