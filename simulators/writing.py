"""What a reporter measured, as the message that it publishes."""

from __future__ import annotations

from shudao.streams import StreamName, topic
from simulators.devices import CARRIER_CODES, NARROWBAND, Population
from simulators.firmware import FIRMWARES
from simulators.formats import Format
from simulators.habits import report_bytes
from simulators.messages import Message, RadioSample, Sample, encode
from simulators.world import World


class Writer:
    """Writes messages for a population.

    A firmware's own format holds one radio sample, and cannot say that there is no cell: what was
    stored, that, and readings are compact JSON.

    Args:
        with_frames: whether NB-IoT reports in JSON carry a frame of the size of TR 45.820.
    """

    def __init__(self, world: World, reporters: Population, *, with_frames: bool) -> None:
        self._world, self._reporters, self._with_frames = world, reporters, with_frames

    def format_of(self, row: int) -> Format | None:
        """The format of a reporter's firmware; None is compact JSON."""
        is_narrow = self._reporters.role[row] in NARROWBAND
        return FIRMWARES[self._reporters.firmware[row]].format if is_narrow else None

    def message(self, row: int, stream: StreamName, body: list[Sample]) -> Message:
        """A valid message with these samples."""
        who = self._reporters
        carrier, name = int(who.carrier[row]), who.name(row)
        prefecture = int(self._world.places.county[who.place[row]]) // 100
        payload, content_type = self._payload(row, name, body)
        where = topic(CARRIER_CODES[carrier], stream, name)
        return Message(where, payload, len(body), "valid", prefecture, carrier, content_type)

    def _payload(self, row: int, name: str, body: list[Sample]) -> tuple[bytes, str]:
        if len(body) > 1:
            return encode(body), ""
        sample, form = body[0], self.format_of(row)
        if not isinstance(sample, RadioSample):
            return encode(sample), ""
        if form and sample.rsrp_dbm is not None and sample.time % form.resolution_ms == 0:
            return form.encode(sample, name), form.content_type
        if self._with_frames and self._reporters.role[row] in NARROWBAND:
            sample.frame = self._frame(row, sample.time)
        return encode(sample), ""

    def _frame(self, row: int, time_ms: int) -> str:
        draws, place = self._world.draws, self._reporters.place[row]
        key = (self._world.places.key[place], self._reporters.carrier[row], time_ms)
        size = int(report_bytes(draws, *key)[0])
        return draws.bits("frame", *key, range(size // 8 + 1)).tobytes()[:size].hex()
