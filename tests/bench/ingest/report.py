"""What was measured: as a document for machines, and as a table for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from tests.bench.ingest.phases import Outcome
from tests.bench.ingest.usage import memory

Document = dict[str, Any]


def phase_document(outcome: Outcome) -> Document:
    """Everything about one phase."""
    account = outcome.account
    per_message = max(outcome.load.per_message, 1)
    rates = outcome.course.rates(account.began, account.last_publish)
    millions = outcome.samples / 1e6
    meter = outcome.meter
    return {
        "ok": not outcome.wrong,
        "wrong": outcome.wrong,
        "published": {
            "messages": account.messages + outcome.probed,
            "samples": outcome.samples,
            "of_the_probe": outcome.probed,
        },
        "stored": asdict(outcome.counts) if outcome.counts else None,
        **rates,
        **{
            name.replace("samples", "messages"): rate and round(rate / per_message)
            for name, rate in rates.items()
            if name.endswith("samples_per_s")
        },
        "rolled_up_after_s": round(outcome.rolled_up_after_s, 2),
        "cpu_s_per_million_samples": {
            name: round(seconds / millions, 3) for name, seconds in outcome.cpu_s.items()
        },
        "processor_shares": outcome.shares,
        "queryable_ms": outcome.queryable_ms,
        "memory": memory(meter.at, meter.rss["ingester"], outcome.course.finished),
        "broker_peak_mib": round(max(meter.rss["broker"]), 1),
        "publisher": _publisher(outcome),
    }


def _publisher(outcome: Outcome) -> Document:
    """What was asked of the load, what it achieved, and what held it back."""
    account, load = outcome.account, outcome.load
    seconds = max(account.last_publish - account.began, 1e-9)
    return {
        "asked_messages_per_s": load.rate or "as fast as window and broker allow",
        "achieved_messages_per_s": round(account.messages / seconds),
        "message_bytes": account.message_bytes,
        "connections": load.connections,
        "window_samples": load.window,
        "cpu_s": round(account.cpu_s, 3),
        "cpu_us_per_message": round(account.cpu_s / max(account.messages, 1) * 1e6, 2),
        "waited_share": {
            reason: round(waited / max(account.ended - account.began, 1e-9), 3)
            for reason, waited in account.waited_s.items()
        },
    }


def add_ratios(phases: list[Document], limits: Document, baselines: list[Document]) -> None:
    """Of rates at full speed to what each is compared with: to limits the steady ones, to the
    baseline those of the whole run, because what it commits comes in few large steps."""
    plain = {b["kind"]: b["samples_per_s"] for b in baselines}
    for phase in phases:
        if phase["kind"] == "paced":
            continue
        if plain.get(phase["kind"]):
            ratio = phase["samples_per_s"] / plain[phase["kind"]]
            phase["ratio_to_baseline"] = round(ratio, 2)
        if "copy_alone" in limits:
            ratio = _speed(phase) / limits["copy_alone"]["rows_per_s"]
            phase["ratio_to_copy_alone"] = round(ratio, 3)
        if "receive_alone" in limits and phase["kind"] == "single":
            ratio = _speed(phase) / _speed(limits["receive_alone"])
            phase["ratio_to_receive_alone"] = round(ratio, 3)


def _speed(phase: Document) -> float:
    """Steady; of a run too short for that, the whole."""
    return float(phase["steady_samples_per_s"] or phase["samples_per_s"])


def one_line(phase: Document) -> str:
    """The gist of a phase, as it ends."""
    verdict = "counted" if phase["ok"] else f"[red]WRONG: {'; '.join(phase['wrong'])}[/]"
    return (
        f"  {phase['published']['samples']:,} samples in {phase['seconds']:.1f} s,"
        f" {phase['samples_per_s']:,}/s · {verdict}"
    )


def measured(document: Document) -> list[Document]:
    """All that was fed: each phase, its comparisons, and the receiver."""
    receiver = document["limits"].get("receive_alone")
    return [*document["phases"], *document["baselines"], *([receiver] if receiver else ())]


def table(document: Document) -> Table:
    """One row a phase."""
    out = Table(
        "subject", "load", "samples/s", "steady", "queryable after ms\np50 · p95 · p99",
        "CPU s/million\nbroker · self · database · publisher", "peak\nMiB",
        "publisher\nwaits for", "others\n· idle", "× plain", "counted",
    )  # fmt: skip
    for row in measured(document):
        out.add_row(*_cells(row))
    copied = document["limits"].get("copy_alone")
    out.caption = copied and f"COPY alone: {copied['rows_per_s']:,} rows/s"
    return out


def _cells(phase: Document) -> list[str]:
    cpu, queryable = phase["cpu_s_per_million_samples"], phase["queryable_ms"]
    waits, shares = phase["publisher"]["waited_share"], phase["processor_shares"]
    most = max(waits, key=waits.get, default="")
    return [
        f"{phase['subject']} {phase['source'] or ''}".strip(),
        phase["kind"],
        f"{phase['samples_per_s']:,}",
        f"{phase['steady_samples_per_s']:,}" if phase["steady_samples_per_s"] else "",
        " · ".join(f"{queryable[q]:,.0f}" for q in ("p50", "p95", "p99") if q in queryable),
        " · ".join(f"{cpu[name]:.1f}" for name in ("broker", "ingester", "database", "publisher")),
        f"{phase['memory']['peak_mib']:,.0f}",
        f"{most} {waits[most]:.0%}" if most else "",
        f"{shares['others']:.0%} · {shares['idle']:.0%}",
        f"{phase['ratio_to_baseline']:.1f}" if "ratio_to_baseline" in phase else "",
        "[green]all[/]" if phase["ok"] else "[red]NO[/]",
    ]
