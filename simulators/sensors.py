"""What the sensors of a smart city measure: a small model each.

Each model takes what its draws depend on and times in ms, shapes (n, 1) and (n, k), and gives
values of the shape (n, k). All numbers are ours unless said: plausible, not measured.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulators.devices import Role
from simulators.draws import Draws, Floats, Keys
from simulators.places import Ints

Model = Callable[[Draws, Keys, Ints], Floats]

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_CHINA_MS = 8 * _HOUR_MS
_EPOCH_MS = 1_500_000_000_000
"""July 2017: meters had turned to zero before the plan began."""


def _hour(time_ms: Ints) -> Floats:
    """Hour of the day in China, 0 … 24."""
    return np.asarray((time_ms + _CHINA_MS) % _DAY_MS / _HOUR_MS, np.float64)


def _winter(time_ms: Ints) -> Floats:
    """1 in mid-January, -1 in mid-July."""
    return np.asarray(np.cos(2 * np.pi * (time_ms / _DAY_MS / 365.25 - 0.04)), np.float64)


def water_volume(draws: Draws, key: Keys, time_ms: Ints) -> Floats:
    """m³ since the meter was set: a building's 5 to 50 a day, little at night, never backwards."""
    daily = 5 * 10 ** draws.uniform("water", key)
    days = (time_ms - _EPOCH_MS + _CHINA_MS) / _DAY_MS
    used = days - 0.8 * np.sin(2 * np.pi * days) / (2 * np.pi)  # its slope is 0.2 … 1.8
    return np.asarray(daily * used, np.float64)


def parking(draws: Draws, key: Keys, time_ms: Ints) -> Floats:
    """1: taken. Drawn for each half hour, more often in the day."""
    taken = 0.5 - 0.3 * np.cos(2 * np.pi * (_hour(time_ms) - 2) / 24)
    drawn = draws.uniform("parking", key, time_ms // (_HOUR_MS // 2))
    return (drawn < taken).astype(np.float64)


def lamp_power(draws: Draws, key: Keys, time_ms: Ints) -> Floats:
    """W: 60 to 150 from dusk to dawn, which is an hour earlier or later by season; else 0."""
    is_night = np.abs(_hour(time_ms) - 13) > 6 - 0.75 * _winter(time_ms)
    return np.where(is_night, 60 + 90 * draws.uniform("lamp", key), 0.0)


def smoke(draws: Draws, key: Keys, time_ms: Ints) -> Floats:
    """1: alarm, in one report of ten thousand."""
    return (draws.uniform("smoke", key, time_ms) < 1e-4).astype(np.float64)


def pm2_5(draws: Draws, key: Keys, time_ms: Ints) -> Floats:
    """µg/m³: log-normal around 40, twice that in winter; a day has its own weather."""
    weather = draws.normal("pm2_5", key, time_ms // _DAY_MS)
    return np.asarray(40 * np.exp(0.4 * weather + 0.7 * _winter(time_ms)), np.float64)


def temperature(draws: Draws, key: Keys, time_ms: Ints) -> Floats:
    """°C: 17 in the yearly mean of the Chengdu plain, 10 either way by season, 4 by hour."""
    by_hour = -4 * np.cos(2 * np.pi * (_hour(time_ms) - 3) / 24)
    weather = draws.normal("warm", key, time_ms // _DAY_MS)
    return np.asarray(17 - 10 * _winter(time_ms) + by_hour + weather, np.float64)


SENSORS: dict[Role, dict[str, Model]] = {
    Role.WATER: {"water_volume": water_volume},
    Role.PARKING: {"parking": parking},
    Role.LAMP: {"lamp_power": lamp_power},
    Role.SMOKE: {"smoke": smoke},
    Role.AIR: {"pm2_5": pm2_5, "temperature": temperature},
}
"""The metrics of each sensor, as the table metric names them."""

MAINS = {Role.LAMP, Role.AIR}
"""Those without a battery."""
