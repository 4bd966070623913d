"""What real networks measured, in summary: what `simulate plot` compares the world with.

``recordings.json`` holds the percentiles of the recordings that the project carries; their origin
and licence are beside them (``python -m tests.simulators.summarise`` makes it). Of recordings that
must not be passed on, or are elsewhere, only the few published quantiles below are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from shudao.vocabulary import Names
from simulators.draws import Floats

RECORDINGS = Path(__file__).with_name("recordings.json")

PERCENTILES = tuple(range(1, 100))


class Summary(msgspec.Struct, frozen=True):
    """Percentiles 1 … 99 of each field of a recording, in the stream's units."""

    zh: str
    en: str
    origin: str
    licence: str
    percentiles: dict[str, list[float]]


@dataclass(frozen=True)
class Reference:
    """Some quantiles of one quantity: ``values`` at the percentages ``at``."""

    name: Names
    at: Floats
    values: Floats

    @property
    def is_whole(self) -> bool:
        """Whether the distribution is known, not only some points of it."""
        return len(self.at) == len(PERCENTILES)

    def distance(self, simulated: Floats) -> float:
        """Mean absolute difference of the known quantiles, in the quantity's unit.

        With all percentiles it is the Wasserstein-1 distance: the mean over all probabilities.
        """
        return float(np.abs(np.percentile(simulated, self.at) - self.values).mean())


def recorded(recording: str, field: str) -> Reference:
    """A field of a recording of ``recordings.json``."""
    summary = _summaries()[recording]
    values = np.array(summary.percentiles[field])
    return Reference(Names(summary.zh, summary.en), np.array(PERCENTILES, np.float64), values)


def _summaries() -> Mapping[str, Summary]:
    return msgspec.json.decode(RECORDINGS.read_bytes(), type=dict[str, Summary])


def published(name: Names, quantiles: Mapping[float, float]) -> Reference:
    """Known quantiles, by percentage."""
    at, values = zip(*quantiles.items(), strict=True)
    return Reference(name, np.array(at, np.float64), np.array(values, np.float64))


_AFRICA = Names("南非", "South Africa 2019")
_OSLO = Names("奥斯陆", "Oslo 2019")
_CORK = Names("科克", "Cork, Ireland")
_UK = Names("英国光纤", "UK fibre 2015")

NBIOT = {
    "rsrp_dbm": [published(_AFRICA, {50: median}) for median in (-80, -103, -120)],
    "sinr_db": [published(_AFRICA, {50: median}) for median in (4.5, 4.3, 0.1)],
    "rtt_ms": [
        published(_OSLO, {5: 960, 50: 2240, 95: 3790}),
        published(_OSLO, {5: 1510, 50: 2480, 95: 6570}),
        published(_OSLO, {5: 4930, 50: 6370, 95: 12450}),
    ],
}
"""By CE level: 10,688 rows of networks in South Africa; in Oslo 2,565, 492 and 326 round trips on
two networks."""

LTE = {
    "rsrp_dbm": published(_CORK, {5: -108, 50: -92, 95: -69}),
    "sinr_db": published(_CORK, {5: -7, 50: 5, 95: 19}),
    "rtt_ms": published(_CORK, {50: 75}),
}
"""35,209 rows of drives in and around a town."""

FIBRE = {
    "down_mbps": published(_UK, {5: 84, 50: 191, 95: 267}),
    "rtt_ms": published(_UK, {5: 4.3, 50: 10.2, 95: 15.9}),
    "jitter_ms": published(_UK, {50: 0.13}),
}
"""32 lines with a probe."""
