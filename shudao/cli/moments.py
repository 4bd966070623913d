"""Moments on the command line: 2h (ago), 30d, 2026-05-01, 2026-05-01T08:00, all in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from shudao.errors import ShudaoError

_AGO = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """An aware datetime from a duration before now, or a date. Raises `ShudaoError`."""
    text = text.strip()
    try:
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text):
            return (now or datetime.now(UTC)) - timedelta(**{_AGO[match[2]]: float(match[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ShudaoError(
            f"'{text}' is no moment", "write 90s, 5m, 2h or 3d (ago), or a date as 2026-05-01 (UTC)"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
