"""The whole benchmark: services of its own, one phase after the other, the document.

Whatever happens (Ctrl-C and SIGTERM too), the processes are stopped and the data deleted; the logs
are kept where something failed. What a killed run left is removed by the next one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from rich.console import Console

from shudao.database.migrate import migrate
from shudao.errors import ShudaoError
from shudao.local import broker, down, place, status, up
from tests.bench.ingest import subjects, tables
from tests.bench.ingest.limits import copy_alone
from tests.bench.ingest.options import Kind, Options
from tests.bench.ingest.phases import Outcome, Phase
from tests.bench.ingest.publisher import Load
from tests.bench.ingest.report import Document, add_ratios, measured, one_line, phase_document
from tests.bench.ingest.subjects import Services, Subject

_SERVICE_SETTINGS = ("SHUDAO_HOME", "SHUDAO_DATABASE_URL", "SHUDAO_MQTT_URL")


def run(options: Options, console: Console) -> Document:
    """Measure; the document's ``ok`` says whether every sample was counted.

    Raises `ShudaoError`.
    """
    load_average = os.getloadavg()
    # A shell script's background job is started with Ctrl-C ignored; SIGTERM ends as Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with _own_services(options.home.resolve(), console) as (services, verdict):
        document = uvloop.run(_Bench(options, services, console).run())
        verdict.ok = all(p["ok"] for p in measured(document))
    return {
        "ok": verdict.ok,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "load_average_before": [round(x, 2) for x in load_average],
        },
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()},
        "settings": {
            k: v for k, v in os.environ.items()
            if k.startswith("SHUDAO_") and k not in _SERVICE_SETTINGS
        },
        **document,
    }  # fmt: skip


@dataclass(slots=True)
class _Verdict:
    """Whether all went well: else the logs are worth keeping."""

    ok: bool = False


@contextmanager
def _own_services(home: Path, console: Console) -> Iterator[tuple[Services, _Verdict]]:
    verdict = _Verdict()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ShudaoError(
                f"another benchmark runs in {home}", "wait for it, or choose another --home"
            ) from error
        try:
            down(home, delete_data=True)  # of a run that was killed
            console.print("starting a broker and a database", style="dim")
            local = up(home, strict=False)
            migrate(local.database_url)
            yield Services(home, local.database_url, local.mqtt_url), verdict
        finally:
            console.print("stopping", style="dim")
            down(home, delete_data=True)
            if verdict.ok:
                shutil.rmtree(home)
            else:
                console.print(f"the logs are in {home}", style="dim")


class _Bench:
    """Runs the phases, and keeps what they measured."""

    def __init__(self, options: Options, services: Services, console: Console) -> None:
        self._options, self._services, self._console = options, services, console
        self._limits: Document = {}
        self._probe_id = 0

    async def run(self) -> Document:
        """All phases: of each source, what it is compared with, the limits."""
        options = self._options
        connection = await asyncpg.connect(self._services.database_url)
        try:
            self._probe_id = await tables.register(connection, options.devices, options.places)
            phases = []
            for source in options.sources:
                subject = subjects.ingester(source, options.workers)
                for kind in options.kinds:
                    phases.append(await self._phase(connection, subject, kind, source))
                    if options.limits and "copy_alone" not in self._limits:
                        self._limits["copy_alone"] = await copy_alone(connection)
            if options.limits and "single" in options.kinds:
                receiver = subjects.receiver(self._services)
                self._limits["receive_alone"] = await self._phase(connection, receiver, "single")
            baselines = [
                await self._phase(connection, subjects.baseline(self._services), kind)
                for kind in options.kinds
                if options.baseline and kind != "paced"
            ]
        finally:
            connection.terminate()
        add_ratios(phases, self._limits, baselines)
        return {"limits": self._limits, "phases": phases, "baselines": baselines}

    async def _phase(
        self,
        connection: asyncpg.Connection[Any],
        subject: Subject,
        kind: Kind,
        source: str | None = None,
    ) -> Document:
        name = f"{subject.name}{f' ({source})' if source else ''}, {kind}"
        self._console.print(f"{name} …", style="dim")
        await asyncio.to_thread(self._empty_broker)
        await tables.empty(connection)
        phase = Phase(
            self._services, connection, self._pids(), self._probe_id, subject, self._load(kind)
        )
        outcome: Outcome = await phase.run()
        document = {"subject": subject.name, "source": source, "kind": kind} | phase_document(
            outcome
        )
        self._console.print(one_line(document))
        return document

    def _load(self, kind: Kind) -> Load:
        options = self._options
        per_message = options.per_array if kind == "arrays" else 0
        paced = kind == "paced"
        samples = options.messages
        if per_message:
            samples = -(-samples // per_message) * per_message
        return Load(
            url=self._services.mqtt_url,
            board=str(self._services.board),
            devices=options.devices,
            per_message=per_message,
            window=options.array_window if per_message else options.window,
            connections=options.connections,
            samples=0 if paced else samples,
            seconds=options.paced_seconds if paced else 0 if samples else options.seconds,
            rate=options.paced_rate if paced else 0,
        )

    def _empty_broker(self) -> None:
        """Start it anew with nothing queued and no sessions."""
        here = place.existing(self._services.home)
        broker.stop(here)
        (broker.folder(here) / "mosquitto.db").unlink(missing_ok=True)
        up(self._services.home)

    def _pids(self) -> dict[str, int]:
        names = {"postgres": "database", "mosquitto": "broker"}
        return {names[s.name]: s.pid for s in status(self._services.home) if s.pid is not None}
