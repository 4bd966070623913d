"""What a mapping profile may say: types, ranges, and what must fit together."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from string import Formatter
from typing import Annotated, Literal, Self

import pyproj
from pydantic import AfterValidator, Field, model_validator

from shudao.registry.crs import CRSS
from shudao.streams import STREAMS, Stream
from shudao.toml_file import Table, TechnologyName, Text, wrong

EPOCH_FORMATS = {"epoch_ms": 1, "epoch_s": 1000}
"""Formats of numeric times, and how many milliseconds their unit has."""
FILE = "file"
"""In a device template: the file's name without its ending."""


def _known_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong(
            f"unknown time zone '{value}'", "write its IANA name, as Asia/Shanghai or UTC"
        ) from None
    return value


def _known_crs(value: str) -> str:
    if value not in CRSS:
        try:
            pyproj.CRS.from_user_input(value)
        except pyproj.exceptions.CRSError:
            raise wrong(
                f"unknown coordinate reference system '{value}'",
                f"write an EPSG code, as EPSG:32651, or one of {', '.join(CRSS)}",
            ) from None
    return value


def _known_time_format(value: str) -> str:
    if value == "iso" or value in EPOCH_FORMATS:
        return value
    try:
        datetime.strptime(datetime.now().strftime(value), value)
    except ValueError:
        value = ""
    if "%" not in value:
        raise wrong(
            "no such time format", 'use "iso", "epoch_ms", "epoch_s" or a pattern: "%Y-%m-%d %H:%M"'
        )
    return value


Crs = Annotated[str, AfterValidator(_known_crs)]
Zone = Annotated[str, AfterValidator(_known_zone)]
TimeFormat = Annotated[str, AfterValidator(_known_time_format)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FileFormat(Table):
    """How the file is laid out. A record is one line; quotes as in RFC 4180.

    ``columns`` names them where the file has no header; ``extra_columns`` allows lines that are
    longer than the header (what is behind it is ignored). Encodings are those that keep a line
    feed one byte.
    """

    delimiter: Literal[",", ";", "\t", "|", "whitespace"] = ","
    encoding: Literal["utf-8", "gb18030", "latin-1"] = "utf-8"
    columns: Annotated[list[Text], Field(min_length=1)] | None = None
    extra_columns: bool = False


class Offset(Table):
    """Time of the n-th of a series: (``index`` - ``first``) × ``seconds`` after its beginning.

    ``index`` is a column; ``seconds`` is a column, or a number.
    """

    index: Text
    first: int = 1
    seconds: Text | Annotated[float, Field(gt=0)]


class Time(Table):
    """When a record was measured.

    ``zone`` is that of times which do not tell their own; of an hour that occurs twice, when
    summer time ends, the first is meant.
    """

    column: Text
    format: TimeFormat
    zone: Zone | None = None
    offset: Offset | None = None

    @model_validator(mode="after")
    def _has_a_zone(self) -> Self:
        if self.format in EPOCH_FORMATS and self.zone is not None:
            raise wrong("times since the epoch have no zone", "remove zone", "zone")
        if "%" in self.format and "%z" not in self.format and self.zone is None:
            raise wrong(
                "these times tell no zone of their own", 'add zone = "Asia/Shanghai"', "format"
            )
        return self


class Measured(Table):
    """Where a field of the stream comes from: value = number in ``column`` × ``scale``.

    ``absent`` lists numbers (before scaling) and texts that mean "not measured"; an empty cell
    and NaN always do. ``base`` 16 reads hexadecimal. ``unit`` and ``note`` are for the reader.
    """

    column: Text
    scale: Scale = 1.0
    absent: list[float | str] = Field(default_factory=list)
    base: Literal[10, 16] = 10
    unit: Text | None = None
    note: Text | None = None


class Position(Table):
    """Columns of the coordinates, east (or longitude) and north (or latitude), and their system."""

    east: Text
    north: Text
    crs: Crs


class Failed(Table):
    """Rows of a failed measurement, known by one column: all that they hold is fill."""

    column: Text
    values: Annotated[list[float], Field(min_length=1)]
    note: Text | None = None


class Profile(Table):
    """One kind of file: where it comes from, and which column is what.

    ``device`` is a template over columns and `FILE`; what is filled in is made fit for a topic.
    """

    title: Text
    origin: Text
    licence: Text
    note: Text | None = None
    stream: Literal["radio", "broadband"]
    technology: TechnologyName
    device: Text
    format: FileFormat = FileFormat()
    time: Time
    fields: Annotated[dict[str, Measured], Field(min_length=1)]
    position: Position | None = None
    failed: Failed | None = None

    @property
    def samples_of(self) -> Stream:
        """The stream that the file's samples belong to."""
        return STREAMS[self.stream]

    @property
    def device_columns(self) -> list[str]:
        """Columns that the device template fills in."""
        return [name for name in placeholders(self.device) if name != FILE]

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        names = [self.time.column, *self.device_columns, *(f.column for f in self.fields.values())]
        if self.time.offset is not None:
            names.append(self.time.offset.index)
            names += [s for s in [self.time.offset.seconds] if isinstance(s, str)]
        if self.position is not None:
            names += [self.position.east, self.position.north]
        if self.failed is not None:
            names.append(self.failed.column)
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check_fields()
        self._check_device()
        named = self.format.columns
        missing = [c for c in self.columns if c not in named] if named is not None else []
        if missing:
            raise wrong(
                f"columns does not name {', '.join(missing)}",
                "name every column of the file, in its order", "format", "columns",
            )  # fmt: skip
        return self

    def _check_fields(self) -> None:
        known = [f.name for f in self.samples_of.fields]
        for name in self.fields:
            if name not in known:
                raise wrong(
                    f"the {self.stream} stream has no field '{name}'",
                    f"use some of {', '.join(known)}", "fields", name,
                )  # fmt: skip
            if self.position is not None and name in ("lon", "lat"):
                raise wrong(f"{name} and [position] are given", "keep one of them", "fields", name)
        if self.position is not None and "lon" not in known:
            raise wrong(f"{self.stream} samples have no position", "remove [position]", "position")

    def _check_device(self) -> None:
        try:
            names = placeholders(self.device)
        except ValueError as error:
            raise wrong(
                f"the template cannot be read: {error}", 'write "probe-{column}"', "device"
            ) from None
        if not all(names):
            raise wrong("a placeholder names no column", 'write "probe-{column}"', "device")


def placeholders(template: str) -> list[str]:
    """What a template fills in. Raises `ValueError` when its braces do not match."""
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]
