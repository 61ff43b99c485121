"""Artifacts of a run in the Prefect UI: few, one key per kind and collection, so that the UI keeps their history.

Nothing of a row is in them but its line, and the form of its id and of what failed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run

from expectations import CheckReport, Failure, Severity
from expectations.disclosure import shape
from flows.deals.export_guard import ExportStats
from flows.runtime.best_effort import show
from flows.ui.chart import Chart, draw, markdown_image
from flows.ui.inert_text import code, inert
from flows.ui.provenance import known_as, origin_line, ui_link
from flows.ui.report import Outcome, certificate, report_text
from flows.ui.run_name import subject_of_run

ArtifactKind = Literal["report", "progress", "rejected", "gone", "forecast", "certificate"]

STEPS = logging.getLogger("dealcast.progress")
"""Says what a run is doing at this moment; the command line shows it, Prefect's log does not."""

LISTED = 200
"""Rows in the table of rejected rows; the quarantine file has them all."""

REFRESH_SECONDS = 3.0
"""The shortest time between two updates of a progress artifact: each is a call to Prefect's API."""

_STARTED: dict[tuple[str, str], tuple[UUID, float]] = {}
"""(flow run, collection) -> its progress artifact, and when it was last updated."""


def artifact_key(kind: ArtifactKind, collection: str) -> str:
    """The artifact's key, by the collection's name if it is known: Prefect admits ``a-z0-9-`` only, so a hash keeps it unique."""
    name = known_as(collection)
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if plain != collection:
        plain = f"{plain}-{hashlib.sha256(collection.encode()).hexdigest()[:4]}"
    return f"{kind}-{plain}"


def show_outcome(outcome: Outcome) -> None:
    """The outcome as artifacts, the report last and with links to the others."""
    collection, entry = outcome.options.collection, outcome.entry
    shown: list[ArtifactKind] = ["rejected"] if outcome.checked is not None and outcome.checked.quarantined else []
    if outcome.forecast is not None and outcome.chart is not None:
        show_forecast(collection, outcome.forecast.invocation_id, outcome.chart)
        shown.append("forecast")
    if entry is not None and (outcome.sent or outcome.forecast):
        show_certificate(collection, certificate(entry))
        shown.append("certificate")
    show_report(collection, f"{report_text(outcome, known_as(collection))}\n{links(collection, shown)}", outcome.headline)


def links(collection: str, kinds: Iterable[ArtifactKind]) -> str:
    """Markdown links to the collection's other artifacts, with their history."""
    return " · ".join(f"[{kind}]({ui_link(f'artifacts/key/{artifact_key(kind, collection)}')})" for kind in kinds)


def show_report(collection: str, markdown: str, headline: str) -> None:
    """The run's report, on success and on failure alike."""
    _show(create_markdown_artifact, markdown, artifact_key("report", collection), headline)


def show_certificate(collection: str, certificate: Mapping[str, Any]) -> None:
    """Record of what was sent and what the platform made of it, with which versions."""
    text = f"```json\n{json.dumps(certificate, indent=1)}\n```"
    _show(create_markdown_artifact, text, artifact_key("certificate", collection), "What was sent, and what became of it")


def show_forecast(collection: str, invocation_id: str, chart: Chart) -> None:
    """The forecast as a chart, and as a table beside the one before it."""
    image = markdown_image(draw(chart), inert(f"Revenue by month: won, and forecast for {known_as(collection)}"))
    unit = f" ({chart.currency})" if chart.currency else ""
    heads, rules = f"| month | revenue{inert(unit)} |", "|---|---:|"
    rows = [f"| {month} | {revenue:,.2f} |" for month, revenue in chart.months.items()]
    if (before := chart.before) and chart.before_as_of:
        heads, rules = f"{heads} {chart.last} |", f"{rules}---:|"
        rows = [f"{row} {f'{before[month]:,.2f}' if month in before else ''} |" for row, month in zip(rows, chart.months, strict=True)]
    moved = f" ({chart.revision})" if chart.revision else ""
    made = f"Invocation {code(invocation_id)} · {origin_line(collection)}"
    text = "\n\n".join([f"# {inert(chart.title)}{moved}", image, "\n".join([heads, rules, *rows]), made, ""])
    _show(create_markdown_artifact, text, artifact_key("forecast", collection), f"{chart.title.partition(': ')[2]}{moved}")


def show_rejected(collection: str, report: CheckReport, place: str | None) -> None:
    """The rows that the gate quarantines, searchable; made only where there are any."""
    failures = [failure for failure in report.failures if failure.severity is Severity.CRITICAL]
    if not failures:
        return
    rules = {result.rule: result.text for result in report.results}
    table = [_rejected_row(failure, rules) for failure in failures[:LISTED]]
    note = f"{report.refusals}. All of them: {place}"
    _show(create_table_artifact, table, artifact_key("rejected", collection), note)


def show_gone(collection: str, stats: ExportStats) -> None:
    """The forms of the ids of known deals that the export no longer has, and the file that has the ids; made only where there are any."""
    if stats.gone_ids:
        note = f"{stats.gone:,} of {stats.known:,} known deals are gone from the export; their ids are in {stats.gone_file}"
        forms = [{"form of the id": form, "deals": count} for form, count in Counter(map(shape, stats.gone_ids)).most_common()]
        _show(create_table_artifact, forms, artifact_key("gone", collection), note)


def show_progress(collection: str, percent: float, words: str) -> bool:
    """Progress of the run, with what it waits for in the platform's own words; False while the last update is too young.

    Where ``collection`` is one of many, its run shows how far they all are, not each.
    """
    STEPS.info(words)
    run = str(flow_run.id) if FlowRunContext.get() or TaskRunContext.get() else ""
    if not run or subject_of_run() not in (None, collection):
        return False
    artifact, updated = _STARTED.get((run, collection), (None, 0.0))
    due = percent >= 100 or time.monotonic() - updated >= REFRESH_SECONDS
    if artifact is None and percent < 100:
        made = _show(create_progress_artifact, percent, artifact_key("progress", collection), words)
        if made is not None:
            _STARTED[run, collection] = made, time.monotonic()
    elif artifact is not None and due:
        _STARTED[run, collection] = artifact, time.monotonic()
        _show(update_progress_artifact, artifact, percent, words)
    if percent >= 100:
        _STARTED.pop((run, collection), None)
    return due


def _show(create: Callable[..., Any], *arguments: Any) -> UUID | None:
    """Create an artifact inside a run, its description last, where Prefect takes it."""
    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return None
    return show("An artifact", lambda: create(*arguments[:-1], inert(arguments[-1])))


def _rejected_row(failure: Failure, rules: Mapping[str, str]) -> dict[str, Any]:
    """One failed cell by its form: what it says is in the quarantine file."""
    rule = rules.get(failure.rule, failure.rule)
    return {"line": failure.line, "id": failure.shown_id, "column": failure.column, "value": failure.shown, "rule": rule}
