"""Records + profile → `Samples`, and refusals of what cannot be read at all.

Only reading happens here; ranges, contradictions and empty samples are `ingest.check`'s, as for
every other sample.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from ingest.batch import Bools, Floats, Origin, Refusal, Samples
from ingest.reasons import Reason
from ingest.recorded import columns
from ingest.recorded.load import NamedProfile
from ingest.recorded.profile import FILE, placeholders
from ingest.recorded.read import STDIN_NAME, Record
from shudao.errors import ShudaoError
from shudao.vocabulary import TECHNOLOGY_IDS


def slug(text: str) -> str:
    """Text as a device's name may hold it: ``Hyde Park`` → ``hyde-park``."""
    return re.sub(r"[^\w]+", "-", text.strip().lower()).strip("-")


@dataclass(slots=True)
class _Table:
    """Columns of some records, by name, and what is wrong with each row ("": nothing)."""

    records: list[Record]
    texts: dict[str, list[str]]
    wrong: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.wrong = [""] * len(self.records)

    def blame(self, bad: Bools, column: str, what: str) -> None:
        """Mark rows whose cell in a column cannot be read; the first blame stays."""
        for row in np.flatnonzero(bad):
            if not self.wrong[row]:
                self.wrong[row] = f"{column} = {self.texts[column][row]!r} is not {what}"

    def numbers(self, column: str) -> Floats:
        """A column as numbers, its unreadable cells blamed."""
        values, bad = columns.numbers(self.texts[column])
        self.blame(bad, column, "a number")
        return values


class Converter:
    """Makes samples of one file's records.

    Args:
        named: the profile.
        header: names of the file's columns.
        file: its name, without ``.gz``.
        carrier_id: whom its devices belong to.

    Raises:
        ShudaoError: when columns that the profile reads are missing, or the file's own name.
    """

    def __init__(self, named: NamedProfile, header: list[str], file: str, carrier_id: int) -> None:
        self._profile = named.profile
        self._stem = slug(file.rpartition(".")[0] or file)
        self._carrier_id = carrier_id
        missing = [c for c in named.profile.columns if c not in header]
        if missing:
            raise ShudaoError(
                f"{file} lacks {len(missing)} of the columns that profile {named.name} reads:"
                f" {', '.join(missing)}",
                f"is it the right profile? It is for: {named.profile.title}",
            )
        if file == STDIN_NAME and FILE in placeholders(named.profile.device):
            raise ShudaoError(
                f"profile {named.name} names devices after the file; standard input has no name",
                "import the file itself",
            )
        self._at = {name: header.index(name) for name in named.profile.columns}
        self.topic = f"import/{named.name}/{file}"
        """What quarantine has in place of an MQTT topic."""

    def convert(self, records: list[Record], received_ms: int) -> tuple[Samples, list[Refusal]]:
        """Take a chunk of records apart; every record is in one of the two."""
        refusals = [
            self._refusal(Reason.MALFORMED, r, r.error, "", received_ms) for r in records if r.error
        ]
        whole = [r for r in records if not r.error]
        texts = {name: [r.cells[at] for r in whole] for name, at in self._at.items()}
        table = _Table(whole, texts)
        device = self._devices(table)
        time_ms = self._times(table)
        values = self._values(table)
        refusals += [
            self._refusal(Reason.INVALID_FIELD, whole[row], what, device[row], received_ms)
            for row, what in enumerate(table.wrong)
            if what
        ]
        good = np.array([not what for what in table.wrong], np.bool_)
        return self._samples(whole, good, device, time_ms, values, received_ms), refusals

    def _samples(
        self, records: list[Record], good: Bools, device: list[str],
        time_ms: Floats, values: Floats, received_ms: int,
    ) -> Samples:  # fmt: skip
        kept = [record for record, keep in zip(records, good, strict=True) if keep]
        return Samples(
            stream=self._profile.samples_of,
            device=[name for name, keep in zip(device, good, strict=True) if keep],
            claimed_carrier=np.full(len(kept), self._carrier_id, np.int64),
            technology_id=np.full(len(kept), TECHNOLOGY_IDS[self._profile.technology], np.int64),
            time_ms=time_ms[good],
            received_ms=np.full(len(kept), received_ms, np.int64),
            values=values[good],
            # The same line of the same file is the same sample, however often it is imported.
            origin=lambda row: Origin(self.topic, kept[row].raw, 0),
        )

    def _refusal(
        self, reason: Reason, record: Record, what: str, device: str, received_ms: int
    ) -> Refusal:
        return Refusal(
            reason, f"line {record.number}: {what}", self.topic, record.raw, 0, received_ms,
            self._carrier_id, self._profile.stream, device,
        )  # fmt: skip

    def _devices(self, table: _Table) -> list[str]:
        """A name for each row, from the template."""
        names = []
        parts = {c: [slug(t) for t in table.texts[c]] for c in self._profile.device_columns}
        for column, slugs in parts.items():
            table.blame(np.array([not s for s in slugs], np.bool_), column, "a device's name")
        for row in range(len(table.records)):
            filled = {column: slugs[row] for column, slugs in parts.items()}
            names.append(self._profile.device.format_map({FILE: self._stem, **filled}))
        return names

    def _times(self, table: _Table) -> Floats:
        spec = self._profile.time
        time_ms, bad = columns.times(table.texts[spec.column], spec)
        table.blame(bad, spec.column, "a time")
        if spec.offset is not None:
            index = table.numbers(spec.offset.index)
            seconds = spec.offset.seconds
            step = table.numbers(seconds) if isinstance(seconds, str) else seconds
            time_ms = time_ms + np.rint((index - spec.offset.first) * step * 1000)
            table.blame(~np.isfinite(time_ms), spec.offset.index, "followed by a step in seconds")
        return time_ms

    def _values(self, table: _Table) -> Floats:
        """Shape (n, fields of the stream), NaN where absent."""
        names = [f.name for f in self._profile.samples_of.fields]
        values = np.full((len(table.records), len(names)), np.nan)
        for name, spec in self._profile.fields.items():
            column, bad = columns.measured(table.texts[spec.column], spec)
            table.blame(bad, spec.column, "a number")
            values[:, names.index(name)] = column
        if (position := self._profile.position) is not None:
            east, north = table.numbers(position.east), table.numbers(position.north)
            lon, lat = columns.to_wgs84(east, north, position.crs)
            values[:, names.index("lon")], values[:, names.index("lat")] = lon, lat
        if (failed := self._profile.failed) is not None:
            values[np.isin(table.numbers(failed.column), failed.values)] = np.nan
        return values
