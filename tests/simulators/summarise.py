"""Make simulators/recordings.json from the recordings: ``python -m tests.simulators.summarise``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import numpy as np

from ingest.recorded.load import load_profile
from ingest.recorded.recording import Recording, read_recording
from shudao.vocabulary import FOREIGN_CARRIER, Names
from simulators.references import PERCENTILES, RECORDINGS, Summary
from tests.ingest.import_twice import DATA

SOURCES = {
    "shanghai_n78": ("drive_shanghai", "*_n78_*", Names("上海公网", "Shanghai public, 2024")),
    "shanghai_n8": ("drive_shanghai", "*_n8_*", Names("上海专网", "Shanghai private, 2024")),
    "chicago": ("broadband_chicago", "tale*", Names("芝加哥有线", "Chicago cable 2021")),
    "brisbane": ("broadband_brisbane", "speed*", Names("布里斯班有线", "Brisbane cable 2017-19")),
}
FIELDS = ("rsrp_dbm", "sinr_db", "rtt_ms", "down_mbps", "jitter_ms")


def summaries() -> Iterator[tuple[str, Summary]]:
    """Percentiles of each source, to four digits."""
    for source, (profile, files, name) in SOURCES.items():
        named = load_profile(profile)
        found = [
            read_recording(str(path), named, FOREIGN_CARRIER) for path in sorted(DATA.glob(files))
        ]
        fields = [field for field in FIELDS if field in named.profile.fields]
        percentiles = {field: _percentiles(found, field) for field in fields}
        yield (
            source,
            Summary(name.zh, name.en, named.profile.origin, named.profile.licence, percentiles),
        )


def _percentiles(recordings: list[Recording], field: str) -> list[float]:
    values = np.concatenate([recording.column(field) for recording in recordings])
    found = np.percentile(values[np.isfinite(values)], PERCENTILES)
    return [float(f"{value:.4g}") for value in found]


def as_json() -> bytes:
    """The file: a line for each list of numbers."""
    lines = msgspec.json.format(msgspec.json.encode(dict(summaries())))
    return re.sub(rb"\n *(?=-?\d|\])", b"", lines) + b"\n"


if __name__ == "__main__":
    RECORDINGS.write_bytes(as_json())
