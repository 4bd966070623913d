"""Services of these tests' own, which they may kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.services import Services


@pytest.fixture
def own_services(tmp_path: Path) -> Iterator[Services]:
    """A database and a broker in a home that is deleted afterwards."""
    services = Services(tmp_path / "home")
    yield services
    services.delete()
