"""Published propagation formulas: path loss in dB, vectorised.

Distances are in km, frequencies in MHz, heights in m. The formulas are those of Okumura-Hata
(as in ns-3) and of 3GPP TR 38.901 7.4.1; the tests hold values of others that computed them too.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from simulators.draws import Floats

Environment = Literal["urban", "suburban", "open"]

NEAREST_KM = 0.1
"""Distances are cut off here. Hata was fitted to 1 … 20 km; nearer than 1 km it is extrapolated,
where every place is covered by any formula."""

_LIGHT_M_PER_S = 3e8  # as 38.901 has it

NOISE_DBM = -123.2
"""Thermal noise in one 15 kHz resource element: -174 dBm/Hz + 41.8 dB, UE noise figure 9 dB."""


def okumura_hata(
    distance_km: ArrayLike,
    frequency_mhz: float,
    environment: Environment,
    *,
    base_m: float = 30.0,
    mobile_m: float = 1.5,
) -> Floats:
    """Median path loss by Okumura-Hata, small and medium cities, 150 … 1500 MHz."""
    log_f, log_h = np.log10(frequency_mhz), np.log10(base_m)
    antenna = (1.1 * log_f - 0.7) * mobile_m - (1.56 * log_f - 0.8)
    log_d = np.log10(np.maximum(distance_km, NEAREST_KM))
    urban = 69.55 + 26.16 * log_f - 13.82 * log_h - antenna + (44.9 - 6.55 * log_h) * log_d
    if environment == "suburban":
        urban = urban - 2 * np.log10(frequency_mhz / 28) ** 2 - 5.4
    elif environment == "open":
        urban = urban - 4.78 * log_f**2 + 18.33 * log_f - 40.94
    return np.asarray(urban, np.float64)


def uma_nlos(distance_km: ArrayLike, frequency_mhz: float, *, mobile_m: float = 1.5) -> Floats:
    """Path loss of 38.901 UMa without line of sight, 0.5 … 100 GHz, 3-D distance to 5 km."""
    log_d = np.log10(1000 * np.maximum(distance_km, NEAREST_KM))
    log_f = np.log10(frequency_mhz / 1000)
    line_of_sight = 28 + 22 * log_d + 20 * log_f
    without = 13.54 + 39.08 * log_d + 20 * log_f - 0.6 * (mobile_m - 1.5)
    return np.asarray(np.maximum(line_of_sight, without), np.float64)


def rma_los(
    distance_km: ArrayLike,
    frequency_mhz: float,
    *,
    base_m: float = 35.0,
    mobile_m: float = 1.5,
    building_m: float = 5.0,
) -> Floats:
    """Path loss of 38.901 RMa (table 7.4.1-1) in line of sight, 3-D distance to 10 km."""
    metres = 1000 * np.maximum(distance_km, NEAREST_KM)
    break_point = 2 * np.pi * base_m * mobile_m * frequency_mhz * 1e6 / _LIGHT_M_PER_S
    near = np.minimum(metres, break_point)
    loss = (
        20 * np.log10(40 * np.pi * near * frequency_mhz / 1000 / 3)
        + min(0.03 * building_m**1.72, 10) * np.log10(near)
        - min(0.044 * building_m**1.72, 14.77)
        + 0.002 * np.log10(building_m) * near
    )
    return np.asarray(loss + 40 * np.log10(metres / near), np.float64)


def rma_nlos(
    distance_km: ArrayLike,
    frequency_mhz: float,
    *,
    base_m: float = 35.0,
    mobile_m: float = 1.5,
    building_m: float = 5.0,
    street_m: float = 20.0,
) -> Floats:
    """Path loss of 38.901 RMa without line of sight, 3-D distance to 5 km."""
    log_d = np.log10(1000 * np.maximum(distance_km, NEAREST_KM))
    without = (
        161.04
        - 7.1 * np.log10(street_m)
        + 7.5 * np.log10(building_m)
        - (24.37 - 3.7 * (building_m / base_m) ** 2) * np.log10(base_m)
        + (43.42 - 3.1 * np.log10(base_m)) * (log_d - 3)
        + 20 * np.log10(frequency_mhz / 1000)
        - (3.2 * np.log10(11.75 * mobile_m) ** 2 - 4.97)
    )
    seen = rma_los(
        distance_km, frequency_mhz, base_m=base_m, mobile_m=mobile_m, building_m=building_m
    )
    return np.asarray(np.maximum(seen, without), np.float64)


def rma_los_probability(distance_km: ArrayLike) -> Floats:
    """Of line of sight in 38.901 RMa (table 7.4.2-1)."""
    metres = 1000 * np.asarray(distance_km, np.float64)
    return np.exp(-np.maximum(metres - 10, 0) / 1000)


def building_entry_loss(frequency_mhz: ArrayLike) -> Floats:
    """Median loss in dB into a building: 38.901 table 7.4.3-2, low-loss model (glass, concrete)."""
    ghz = np.asarray(frequency_mhz, np.float64) / 1000
    glass, concrete = 2 + 0.2 * ghz, 5 + 4 * ghz
    return 5 - 10 * np.log10(0.3 * 10 ** (-glass / 10) + 0.7 * 10 ** (-concrete / 10))


def thermal_sinr(rsrp_dbm: ArrayLike) -> Floats:
    """SINR in dB that thermal noise alone would leave."""
    return np.asarray(rsrp_dbm, np.float64) - NOISE_DBM


def full_load_rsrq(sinr_db: ArrayLike) -> Floats:
    """RSRQ in dB of a fully loaded cell: the definition (TS 36.214 5.1.3) with 12 tones used."""
    inverse = 10.0 ** (-np.asarray(sinr_db, np.float64) / 10)
    return np.asarray(-10 * np.log10(12 * (1 + inverse)), np.float64)
