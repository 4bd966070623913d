"""Arrays → PostgreSQL's binary COPY format, without a Python loop over rows.

A row is laid out as a numpy record of big-endian fields, each after its length word; where a
field is NULL, its bytes are cut out and the length word says -1.
(PostgreSQL documentation, COPY, "Binary Format".)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH_2000_MS = 946_684_800_000
_INT4_OID = 23


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in the table, its wire values and where it is NULL.

    ``values`` is (n,) of a big-endian type, or (n, k) for an integer[] of k elements.
    """

    name: str
    values: NDArray[Any]
    nulls: NDArray[np.bool_] | None = None


def integers(name: str, values: NDArray[Any], dtype: str) -> Column:
    """An integer column; ``dtype`` is i2, i4 or i8. Negative values are NULL: none is stored."""
    nulls = values < 0
    return Column(name, values.astype(">" + dtype), nulls if nulls.any() else None)


def signed(name: str, values: NDArray[Any], dtype: str) -> Column:
    """An integer column in which negative values are values."""
    return Column(name, values.astype(">" + dtype))


def floats(name: str, values: NDArray[Any], dtype: str) -> Column:
    """A real (f4) or double precision (f8) column; NaN is NULL."""
    nulls = np.isnan(values)
    return Column(name, values.astype(">" + dtype), nulls if nulls.any() else None)


def times(name: str, time_ms: NDArray[Any]) -> Column:
    """A timestamptz column from integer milliseconds since 1970, UTC."""
    return Column(name, ((time_ms.astype(np.int64) - _EPOCH_2000_MS) * 1000).astype(">i8"))


def encode(columns: list[Column]) -> memoryview:
    """The bytes of a binary COPY of the columns, in their order.

    As asyncpg must be given them: it takes bytes for a path, and reads a file object in threads
    and keeps it until garbage is collected, which was hundreds of megabytes.
    """
    n = len(columns[0].values)
    record = np.zeros(n, _record_dtype(columns))
    record["fields"] = len(columns)
    for i, column in enumerate(columns):
        _fill(record, f"c{i}", column)
    if all(column.nulls is None for column in columns):
        body = record.tobytes()
    else:
        keep = _kept_bytes(record, columns)
        body = record.view(np.uint8).reshape(n, -1)[keep].tobytes()
    return memoryview(_HEADER + body + _TRAILER)


def _record_dtype(columns: list[Column]) -> np.dtype[np.void]:
    fields: list[Any] = [("fields", ">i2")]
    for i, column in enumerate(columns):
        value: Any = column.values.dtype
        if column.values.ndim == 2:
            element = np.dtype([("length", ">i4"), ("value", ">i4")])
            value = np.dtype([("header", ">i4", (5,)), ("e", element, (column.values.shape[1],))])
        fields += [(f"l{i}", ">i4"), (f"c{i}", value)]
    return np.dtype(fields)


def _fill(record: NDArray[np.void], name: str, column: Column) -> None:
    if column.values.ndim == 2:
        # dimensions, has-null flag, element type, length, lower bound
        record[name]["header"] = (1, 0, _INT4_OID, column.values.shape[1], 1)
        record[name]["e"]["length"] = 4
        record[name]["e"]["value"] = column.values
    else:
        record[name] = column.values
    size = record.dtype[name].itemsize
    length = "l" + name[1:]
    record[length] = size if column.nulls is None else np.where(column.nulls, -1, size)


def _kept_bytes(record: NDArray[np.void], columns: list[Column]) -> NDArray[np.bool_]:
    keep = np.ones((len(record), record.dtype.itemsize), np.bool_)
    for i, column in enumerate(columns):
        if column.nulls is not None:
            dtype, offset = record.dtype.fields[f"c{i}"][:2]  # type: ignore[index]
            keep[column.nulls, offset : offset + dtype.itemsize] = False
    return keep
