"""Which firmware an NB-IoT device runs: it decides how a sample is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from shudao.vocabulary import Carrier
from simulators import formats
from simulators.constants import PerCarrier
from simulators.draws import Draws
from simulators.formats import Format
from simulators.places import Bools, Ints


@dataclass(frozen=True, slots=True)
class Firmware:
    """A module or agent in one version; ``format`` None writes the compact JSON of the contract.

    ``share``: of a carrier's devices. Ours: no such figures were published.
    """

    name: str
    format: Format | None
    share: PerCarrier


FIRMWARES = (
    Firmware("shudao-agent 1.4", None, (0.30, 0.30, 0.30, 0.50)),
    Firmware("BC95 B300SP5", formats.NUESTATS, (0.20, 0.0, 0.15, 0.20)),
    Firmware("M5310-A 2.2", formats.NUESTATS, (0.0, 0.30, 0.0, 0.0)),
    Firmware("BC26 R01", formats.QENG_BC26, (0.15, 0.10, 0.05, 0.10)),
    Firmware("BC660K-GL R01", formats.QENG_BC660K, (0.15, 0.10, 0.10, 0.10)),
    Firmware("LwM2M agent 1.0, JSON", formats.LWM2M_JSON, (0.10, 0.10, 0.05, 0.05)),
    Firmware("LwM2M agent 1.1, CBOR", formats.LWM2M_CBOR, (0.10, 0.10, 0.05, 0.05)),
    Firmware("Unicom platform", formats.UNICOM, (0.0, 0.0, 0.30, 0.0)),
    Firmware("OceanConnect", formats.OCEANCONNECT, (0.0, 0.0, 0.0, 0.0)),
)
OCEANCONNECT = len(FIRMWARES) - 1
OCEANCONNECT_SHARE = 0.5
"""Of telecom's city sensors. Only theirs: without SINR it proves no general coverage."""


def choose_firmware(draws: Draws, key: ArrayLike, carrier: Ints, is_city: Bools) -> Ints:
    """Row of `FIRMWARES` for each device; ``key`` tells devices of a carrier apart."""
    ends = np.cumsum([f.share for f in FIRMWARES], axis=0).T
    drawn = draws.uniform("firmware", key, carrier)
    found = (drawn[:, None] > ends[carrier]).sum(axis=1)
    platform = is_city & (carrier == Carrier.TELECOM - 1)
    platform &= draws.uniform("firmware/platform", key) < OCEANCONNECT_SHARE
    return np.where(platform, OCEANCONNECT, np.minimum(found, OCEANCONNECT))
