"""Dashboards to JSON: the same bytes every time, so that a diff shows what really changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.province import province

DASHBOARDS: tuple[Callable[[], Dashboard], ...] = (province,)
BUILT = Path(__file__).with_name("built")


def build_all() -> dict[str, str]:
    """The JSON text of every dashboard, by uid."""
    texts = (build(make()) for make in DASHBOARDS)
    return {json.loads(text)["uid"]: text for text in texts}


def build(dashboard: Dashboard) -> str:
    """One dashboard as JSON text; its panels are numbered from 1 in reading order."""
    model = dashboard.build()
    for number, panel in enumerate(model.panels or [], start=1):
        panel.id_val = number
    document: dict[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def write(folder: Path = BUILT) -> list[Path]:
    """Write each dashboard to ``<uid>.json``, only where it changed; return the changed files."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for uid, text in build_all().items():
        path = folder / f"{uid}.json"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed
