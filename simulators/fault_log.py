"""The truth about what went wrong, one JSON object a line, to score detection against."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shudao.errors import ShudaoError
from simulators.area_faults import AreaFault
from simulators.devices import CARRIER_CODES
from simulators.messages import Message


class Entry(msgspec.Struct, omit_defaults=True, rename={"from_ms": "from", "to_ms": "to"}):
    """One fault: what, whose and where; times in ms, ``to`` left out while there is no end.

    ``area`` are the first digits of an NBS code. A fault of one message or device names the device.
    """

    what: str
    carrier: str
    area: str
    from_ms: int
    to_ms: int | None = None
    device: str = ""
    samples: int = 0


class FaultLog:
    """Writes a line for each fault: of an area or a device when it begins, of a message when it is
    first handed to the broker. Without a path it writes nothing.

    Raises `ShudaoError` when the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            self._file = path.open("wb", buffering=0) if path else None
        except OSError as error:
            raise ShudaoError(
                f"the fault log {path} cannot be written ({error.strerror})", "name another file"
            ) from error

    def area(self, fault: AreaFault) -> None:
        """An outage or a regression begins."""
        carrier = CARRIER_CODES[fault.carrier]
        self._write(Entry(fault.what, carrier, fault.area, fault.from_ms, fault.to_ms))

    def device(self, what: str, name: str, carrier: int, county: int, from_ms: int) -> None:
        """Something that goes on with one device."""
        self._write(Entry(what, CARRIER_CODES[carrier], str(county), from_ms, device=name))

    def message(self, message: Message, now_ms: int) -> None:
        """A message is sent, perhaps with a fault."""
        if message.fault:
            carrier, device = message.topic.split("/")[2], message.topic.split("/")[4]
            area, n = str(message.prefecture), message.samples
            self._write(Entry(message.fault, carrier, area, now_ms, now_ms, device, n))

    def _write(self, entry: Entry) -> None:
        if self._file:
            self._file.write(msgspec.json.encode(entry) + b"\n")
