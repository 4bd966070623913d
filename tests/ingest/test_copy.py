"""Binary COPY: what numpy encodes is what PostgreSQL stores, NULLs included."""

from __future__ import annotations

import io
from typing import Any

import asyncpg
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ingest import copy

ROWS = st.integers(1, 30)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, np.ndarray[Any, Any]]:
    n = draw(ROWS)
    return {
        "small": draw(hnp.arrays("i2", n, elements=st.integers(-1, 2**15 - 1))),
        "middle": draw(hnp.arrays("i4", n, elements=st.integers(-1, 2**31 - 1))),
        "big": draw(hnp.arrays("i8", n, elements=st.integers(-(2**63), 2**63 - 1))),
        "single": draw(hnp.arrays("f4", n, elements=st.floats(width=32))),
        "double": draw(hnp.arrays("f8", n, elements=st.floats())),
        "bins": draw(hnp.arrays("i4", (n, 3), elements=st.integers(-(2**31), 2**31 - 1))),
        "at": draw(hnp.arrays("i8", n, elements=st.integers(0, 4_102_444_800_000))),
    }


async def _store(connection: asyncpg.Connection[Any], data: dict[str, Any]) -> list[Any]:
    encoded = copy.encode(
        [
            copy.integers("small", data["small"], "i2"),
            copy.integers("middle", data["middle"], "i4"),
            copy.signed("big", data["big"], "i8"),
            copy.floats("single", data["single"], "f4"),
            copy.floats("double", data["double"], "f8"),
            copy.signed("bins", data["bins"], "i4"),
            copy.times("at", data["at"]),
        ]
    )
    await connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS encoded (small smallint, middle integer, big bigint,"
        " single real, double double precision, bins integer[], at timestamptz);"
        "TRUNCATE encoded"
    )
    await connection.copy_to_table("encoded", source=io.BytesIO(encoded), format="binary")
    return await connection.fetch(
        "SELECT *, (extract(epoch FROM at) * 1000)::bigint AS at_ms FROM encoded"
    )


def test_what_is_encoded_is_what_is_stored(database_url: str) -> None:
    """Property: every value, every NULL pattern, arrays and times come back."""
    import asyncio

    async def check(data: dict[str, Any]) -> None:
        rows = await _store(connection, data)
        for i, row in enumerate(rows):
            assert row["small"] == (None if data["small"][i] < 0 else data["small"][i])
            assert row["middle"] == (None if data["middle"][i] < 0 else data["middle"][i])
            assert row["big"] == data["big"][i]
            for name in ("single", "double"):
                value = data[name][i]
                assert row[name] is None if np.isnan(value) else row[name] == value
            assert row["bins"] == data["bins"][i].tolist()
            assert row["at_ms"] == data["at"][i]
        assert len(rows) == len(data["at"])

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(database_url))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(columns())
    def run(data: dict[str, Any]) -> None:
        loop.run_until_complete(check(data))

    run()
    loop.run_until_complete(connection.close())
    loop.close()
