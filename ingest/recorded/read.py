"""Take a recorded file apart: a header, and records with the very line that they came from.

Plain or gzip (told by its first bytes), a path or ``-`` for standard input. A record is one
line, so that a stray quote spoils its own record and no other.
"""

from __future__ import annotations

import csv
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ingest.recorded.profile import FileFormat
from shudao.errors import ShudaoError

STDIN, STDIN_NAME = "-", "stdin"


class Record(NamedTuple):
    """One line of data. ``cells`` is empty where ``error`` says why it could not be split."""

    number: int
    raw: bytes
    cells: list[str]
    error: str = ""


class RecordedFile:
    """An open file of records.

    Attributes:
        name: the file's name, without folder and ``.gz``: what quarantine calls it.
        header: names of the columns.
        size: bytes to read, None where that is not known in advance.
    """

    def __init__(self, name: str, raw: BinaryIO, layout: FileFormat) -> None:
        self.name = name
        self.size = _size(raw)
        self._raw = raw
        self._layout = layout
        self._lines = self._numbered(_unpacked(raw))
        self.header = layout.columns or self._read_header()

    def position(self) -> int:
        """Bytes read so far, of ``size``."""
        return self._raw.tell() if self.size is not None else 0

    def chunks(self, rows: int) -> Iterator[list[Record]]:
        """Records, at most so many at a time. Raises `ShudaoError` when reading fails."""
        while chunk := list(islice(self._lines, rows)):
            yield [self._record(number, raw) for number, raw in chunk]

    def _numbered(self, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        try:
            for number, line in enumerate(stream, start=1):
                raw = line.rstrip(b"\r\n")
                if raw.strip():
                    yield number, raw
        except (OSError, EOFError, zlib.error) as error:
            raise ShudaoError(
                f"{self.name} cannot be read to its end ({error})",
                "get the file again; what is stored already will not count twice",
            ) from error

    def _read_header(self) -> list[str]:
        number, raw = next(self._lines, (0, b""))
        if not number:
            raise ShudaoError(f"{self.name} is empty", "correct the path")
        record = self._record(number, raw.removeprefix(b"\xef\xbb\xbf"), is_header=True)
        return [cell.strip() for cell in record.cells]

    def _record(self, number: int, raw: bytes, *, is_header: bool = False) -> Record:
        # Bytes that are no text stay visible as such, and fail where they matter.
        text = raw.decode(self._layout.encoding, "surrogateescape")
        try:
            cells = split(text, self._layout.delimiter)
        except csv.Error as error:
            return Record(number, raw, [], str(error))
        if is_header or len(cells) == len(self.header):
            return Record(number, raw, cells)
        if len(cells) > len(self.header) and self._layout.extra_columns:
            return Record(number, raw, cells)
        return Record(number, raw, [], f"{len(cells)} columns instead of {len(self.header)}")


def split(text: str, delimiter: str) -> list[str]:
    """The cells of one line. Raises `csv.Error` where quotes do not close."""
    if delimiter == "whitespace":
        return text.split()
    return next(csv.reader([text], delimiter=delimiter, strict=True))


@contextmanager
def open_recorded(path: str, layout: FileFormat) -> Iterator[RecordedFile]:
    """Open a file, or standard input for ``-``. Raises `ShudaoError` when that fails."""
    if path == STDIN:
        if sys.stdin.isatty():
            raise ShudaoError("nothing is piped in", "use: … | shudao import - --profile NAME")
        yield RecordedFile(STDIN_NAME, sys.stdin.buffer, layout)
        return
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - closed below; only opening may fail here
    except OSError as error:
        raise ShudaoError(
            f"{path} cannot be opened ({error.strerror})", "correct the path"
        ) from error
    with raw:
        yield RecordedFile(Path(path).name.removesuffix(".gz"), raw, layout)


def _size(raw: BinaryIO) -> int | None:
    status = os.fstat(raw.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _unpacked(raw: BinaryIO) -> BinaryIO:
    is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"  # type: ignore[attr-defined]
    return GzipFile(fileobj=raw) if is_gzip else raw  # type: ignore[return-value]
