"""The private mosquitto: its guarantees stand beside the settings, in ``mosquitto.conf``."""

from __future__ import annotations

import signal
from itertools import islice
from pathlib import Path
from string import Template

from shudao.errors import ShudaoError
from shudao.local import process
from shudao.local.binaries import find_mosquitto
from shudao.local.place import Place

NAME = "mosquitto"
TEMPLATE = Path(__file__).with_name("mosquitto.conf")
START_PATIENCE_S = 60.0  # it reads all that is queued


def folder(place: Place) -> Path:
    """Where it keeps its configuration and what is queued and retained."""
    return place.data / "mosquitto"


def running_pid(place: Place) -> int | None:
    """The pid of the broker if it runs."""
    try:
        pid = int((folder(place) / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if process.is_running(pid, _config(place)) else None


def mqtt_url(port: int) -> str:
    """The address of the broker."""
    return f"mqtt://{process.HOST}:{port}"


def start(place: Place, remembered_port: int | None, *, strict: bool) -> int:
    """Start the broker unless it runs with this profile already; return its port.

    Raises `ShudaoError` when the program is missing or it does not come up.
    """
    if running_pid(place):
        if remembered_port is not None and is_strict(place) == strict:
            return remembered_port
        stop(place)
    program = find_mosquitto()
    _make_folder(place)
    message = "no free port"
    for port in islice(process.free_ports(remembered_port, f"{place.home}/mosquitto"), 5):
        message = _try_start(place, program, port, strict)
        if not message:
            return port
        if "Address already in use" not in message:
            break  # only a port that was taken meanwhile is worth another try
    raise ShudaoError(f"mosquitto does not start: {message}", f"see {place.log(NAME)}")


def stop(place: Place) -> bool:
    """Stop it; it saves everything first. False if it did not run."""
    pid = running_pid(place)
    if pid is None:
        return False
    process.stop(pid, _config(place), name="mosquitto", by=signal.SIGTERM, patience_s=60)
    return True


def is_strict(place: Place) -> bool:
    """Whether the profile last started is the strict one."""
    path = _config(place)
    return path.exists() and "autosave_on_changes true" in path.read_text()


def configuration(port: int, data: Path, *, strict: bool) -> str:
    """The text of ``mosquitto.conf`` with the blanks filled in."""
    text = Template(TEMPLATE.read_text())
    return text.substitute(port=port, data=data, strict=str(strict).lower())


def _config(place: Place) -> Path:
    return folder(place) / "mosquitto.conf"


def _make_folder(place: Place) -> None:
    path = folder(place)
    path.mkdir(mode=0o700, exist_ok=True)
    process.give(path, place.user)


def _try_start(place: Place, program: Path, port: int, strict: bool) -> str:
    """Start once; return what went wrong, empty for nothing."""
    config, log = _config(place), place.log(NAME)
    config.write_text(configuration(port, folder(place), strict=strict))
    offset = log.stat().st_size if log.exists() else 0
    command = [str(program), "-c", str(config)]
    pid = process.start(command, log=log, folder=place.data, user=place.user)
    (folder(place) / "pid").write_text(f"{pid}\n")

    def is_ready() -> bool:  # it listens after it has read what was queued
        return process.is_listening(pid, port)

    def has_gone() -> bool:
        return not process.is_running(pid, config)

    process.wait_until(lambda: is_ready() or has_gone(), START_PATIENCE_S)
    return "" if is_ready() and not has_gone() else process.tail(log, offset)
