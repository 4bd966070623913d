"""Random fields over the map: values that are alike at points that are near each other.

A sum of cosines with random directions and wave numbers (spectral representation; Shinozuka and
Deodatis 1991), so that a value depends on the seed and the point only, not on the other points.
"""

from __future__ import annotations

import numpy as np

from simulators.draws import Draws, Floats

WAVES = 96
"""So many make one value normal enough, and leave 10 % of correlation between points far apart."""
_KM_PER_DEGREE = 111.2
_MIDDLE_LATITUDE = 30.5


def gaussian_field(
    draws: Draws, label: str, lon: Floats, lat: Floats, correlation_km: float
) -> Floats:
    """Standard normal values, (n,), correlated by exp(-d / correlation_km) over a distance d.

    That is the correlation of shadowing in 3GPP TR 38.901 7.4.4 (Gudmundson 1991).
    """
    wave = np.arange(WAVES)
    # Of the isotropic field with this correlation: P(wave number < k) = 1 - 1 / sqrt(1 + (k d)^2).
    u = draws.uniform(f"{label}/wave", wave)
    number = np.sqrt((1 - u) ** -2 - 1) / correlation_km
    direction = 2 * np.pi * draws.uniform(f"{label}/direction", wave)
    phase = 2 * np.pi * draws.uniform(f"{label}/phase", wave)
    x = lon * _KM_PER_DEGREE * np.cos(np.radians(_MIDDLE_LATITUDE))
    y = lat * _KM_PER_DEGREE
    value = np.zeros(len(lon))
    for k, angle, start in zip(number, direction, phase, strict=True):
        value += np.cos(k * np.cos(angle) * x + k * np.sin(angle) * y + start)
    return np.asarray(np.sqrt(2 / WAVES) * value, np.float64)
