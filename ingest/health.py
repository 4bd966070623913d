"""Whether the ingester does its work, for people and for whatever restarts it.

- ``/healthz``: 200 while messages flow or could; 503 with every reason while they cannot: no
  broker, no database, a batch that hangs, roll-ups that fail. Nothing is lost meanwhile.
- ``/readyz``: 200 once the broker's subscription stands and the database answered; 503 before.
- ``/metrics``: for Prometheus (ingest/metrics.py).
"""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.ingester import Ingester
from ingest.sources import Source

HANGS_AFTER_S = 60.0
"""A batch that is older is a problem, whatever the reason."""


class Health:
    """What is known of the parts at this moment."""

    def __init__(self, source: Source, ingester: Ingester) -> None:
        self._source, self._ingester = source, ingester
        self._batches: list[float] = []
        self.roll_up_error = ""
        """Why the roll-ups stand still; empty while they move."""

    def batch_begins(self) -> None:
        """A batch was received."""
        self._batches.append(time.monotonic())

    def batch_ends(self) -> float:
        """The oldest batch was acknowledged; its age in seconds."""
        return time.monotonic() - self._batches.pop(0)

    @property
    def batch_age_s(self) -> float:
        """Age of the oldest batch in hand; 0 where there is none."""
        return time.monotonic() - self._batches[0] if self._batches else 0.0

    def problems(self) -> list[str]:
        """What is wrong now, a line each."""
        found = []
        if not self._source.connected:
            found.append("the broker does not answer")
        if not self._ingester.database_answers:
            found.append("the database does not answer, or does not take what it is given")
        if self.batch_age_s > HANGS_AFTER_S:
            found.append(f"the oldest batch waits for {self.batch_age_s:.0f} s")
        if self.roll_up_error:
            found.append(f"roll-ups stand still: {self.roll_up_error}")
        return found

    @property
    def is_ready(self) -> bool:
        """Whether messages can arrive and be stored."""
        return self._source.connected and self._ingester.database_answered

    def report(self) -> dict[str, object]:
        """All of it, for the answer's body."""
        problems = self.problems()
        return {
            "status": "failing" if problems else "ok",
            "problems": problems,
            "in_flight": self._source.in_flight,
            "oldest_batch_age_s": round(self.batch_age_s, 3),
            "reconnects": self._source.reconnects,
        }


def create_app(health: Health, registry: CollectorRegistry) -> Starlette:
    """The three pages."""

    async def healthz(_: Request) -> Response:
        report = health.report()
        return JSONResponse(report, 503 if report["problems"] else 200)

    async def readyz(_: Request) -> Response:
        ready = health.is_ready
        return JSONResponse({"ready": ready, **health.report()}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )
