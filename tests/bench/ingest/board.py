"""Numbers that the processes of a benchmark show each other: a small file in shared memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_NAMES = ("published", "acknowledged", "committed", "done", "stop")


class Board:
    """Counters in a file; each has one writer.

    ``published`` and ``acknowledged`` are the publisher's, in samples; ``committed`` is what is
    known to be stored of them, by the benchmark itself; ``done`` is how many samples a subject
    says it is done with, where no database tells; ``stop`` ends the publisher early.
    """

    published: int
    acknowledged: int
    committed: int
    done: int
    stop: int

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(8 * len(_NAMES)))
        self.__dict__["_cells"] = np.memmap(path, dtype=np.int64, mode="r+", shape=len(_NAMES))

    def __getattr__(self, name: str) -> int:
        if name not in _NAMES:
            raise AttributeError(name)
        return int(self.__dict__["_cells"][_NAMES.index(name)])

    def __setattr__(self, name: str, value: int) -> None:
        self.__dict__["_cells"][_NAMES.index(name)] = value
