"""``dealcast check``: what a sync would read and what the platform would refuse; nothing is sent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from deployments.command_line.command_options import checked_options
from deployments.command_line.console import InertConsole
from expectations import CheckReport, Failure, RuleResult, build_docs
from flows.deals.check_staged import check_staged
from flows.deals.index.content_index import ContentIndex
from flows.deals.quarantine import way_on
from flows.deals.records import CheckedDeals
from flows.deals.staged_file import stage
from flows.errors import StoppedByGate
from flows.options import counted
from flows.runtime.staging_area import staging_folder
from flows.settings import load_settings

_SHOWN = 20


def check_export(*, as_json: bool, docs: Path | None, timezone: str | None, **values: Any) -> int:
    """Check an export and print what was found: an object with ``as_json``, else tables; Data Docs into ``docs``.

    Returns:
        The exit code: 0 where every deal could be sent, 4 where the platform would refuse some.

    Raises:
        ExportError: the export cannot be read or mapped.
        UsageError: an option is wrong.
    """
    options = checked_options("check", {**values, "collection": "check"})
    settings = load_settings()
    with staging_folder(settings.home_folder) as place:
        staged = stage(options, place, timezone or "UTC")
        checked = check_staged(staged, options, ContentIndex, place, settings.extra_suite)
    if as_json:
        click.echo(json.dumps(as_object(checked), indent=1))
    else:
        show(checked)
    if docs is not None:
        click.echo(f"Data Docs: {build_docs(checked.report, docs)}", err=True)
    return 0 if checked.report.ok else StoppedByGate.exit_code


def as_object(checked: CheckedDeals) -> dict[str, Any]:
    """The stable shape of ``--json``; ``failures`` is capped, the counts are not; ids and values are their forms."""
    report, staged = checked.report, checked.staged
    export = staged.export
    return {
        "rows": staged.rows,
        "deals": staged.deals,
        "not_taken": staged.non_rows,
        "passed": report.passed,
        "quarantined": report.failing,
        "assumed_to_be_refused": report.assumed,
        "of_your_own_rules": report.own,
        "warnings": report.warnings,
        "failures": [_failure(failure) for failure in report.failures],
        "failures_total": sum(result.failed for result in report.results),
        "rules": [_rule(result) for result in report.failed_rules],
        "filled": {
            column: sum(rows for how, rows in hows.items() if not how.startswith("lost:")) for column, hows in staged.filled.items()
        },
        "filled_by": staged.filled,
        "undecided_stages": staged.undecided,
        "contradictions": staged.contradictions,
        "short_rows": staged.short_rows,
        "gone": staged.gone,
        "remarks": staged.remarks,
        "export": {
            "path": export.path,
            "sha256": export.sha256,
            "encoding": export.encoding,
            "encoding_guessed_by": export.guess,
            "separator": export.separator,
            "dialect": export.dialect,
            "times": export.zones.as_object(),
        },
    }


def show(checked: CheckedDeals) -> None:
    """The report in the terminal: what came, what failed by rule, and the first rows to fix."""
    console, staged, report = InertConsole(markup=False), checked.staged, checked.report
    export = staged.export
    aside = "".join(f", {count:,} {why}" for why, count in staged.non_rows.items())
    console.print(f"{export.path}: {export.dialect}, {export.form}", highlight=False, soft_wrap=True)
    console.print(f"{counted(staged.rows, 'row')}: {counted(staged.deals, 'deal')}{aside}", highlight=False, soft_wrap=True)
    console.print(f"{export.zones}", highlight=False, soft_wrap=True)
    for remark in staged.remarks:
        console.print(f"{remark}.", highlight=False, soft_wrap=True)
    console.print(_verdict(report, export.dialect), highlight=False, soft_wrap=True)
    if report.failed_rules:
        console.print(_rules(report))
        failures = sorted(report.failures, key=lambda failure: failure.severity == "warning")
        for failure in failures[:_SHOWN]:
            console.print(f"  {_sentence(failure)}", highlight=False, soft_wrap=True)
        rest = sum(result.failed for result in report.results) - min(len(failures), _SHOWN)
        if rest:
            console.print(f"  ... and {rest:,} more; --json lists the first {len(report.failures):,}", highlight=False)


def _verdict(report: CheckReport, dialect: str) -> str:
    lines = [f"{counted(report.passed, 'deal')} can be sent, {report.warnings:,} have a warning"]
    if report.failing:
        lines.append(report.refusals)
        lines.append(f"{way_on(report, dialect)}Quarantine them with `dealcast sync ... --quarantine-limit {report.failing}`, or fix them.")
    if report.stopped_by:
        lines.append(f"{report.why_stopped}: a sync would send nothing.")
    return os.linesep.join(lines)


def _rules(report: CheckReport) -> Table:
    table = Table(title="Warnings" if report.ok else "What failed", title_justify="left")
    table.add_column("column", no_wrap=True)
    table.add_column("rule")
    table.add_column("if sent")
    table.add_column("rows", justify="right")
    for result in report.failed_rules:
        table.add_row(result.column, result.text, _if_sent(result), f"{result.failed:,}")
    return table


def _if_sent(result: RuleResult) -> str:
    """The consequence of sending such a row, in words."""
    if result.severity == "warning":
        return "a warning"
    if result.standing is None:
        return "against your own rule"
    return "refused" if result.standing.is_documented else "assumed refused"


def _sentence(failure: Failure) -> str:
    return f"line {failure.line}, id {failure.shown_id}: {failure.column} is {failure.shown}: {failure.rule} ({failure.severity})"


def _rule(result: RuleResult) -> dict[str, Any]:
    named = {"column": result.column, "rule": result.rule, "severity": str(result.severity)}
    return {**named, "standing": result.standing, "rows": result.failed}


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "line": failure.line,
        "id": failure.shown_id if failure.id else None,
        "column": failure.column,
        "value": None if failure.value is None else failure.shown,
        "rule": failure.rule,
        "severity": str(failure.severity),
    }
