"""The gate: batches of deals in, verdicts and one report out, judged by Great Expectations.

Great Expectations takes seconds to import, so it is imported when a gate is made and not before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.check_report import LISTED, SAMPLES, CheckReport, Failure, GateError, RuleResult
from expectations.deals_schema import SOURCE_LINE, Severity
from expectations.file_profile import FileProfile
from expectations.formats import one_chunk
from expectations.gx.deferral import absent, deferred
from expectations.row_checks import Findings, Positions, RowChecks, deals_table
from expectations.rules import RULES, Rule

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuite

    from expectations.gx.session import Session

FAILURES_SCHEMA = pa.schema(
    [
        (SOURCE_LINE, pa.int64()),
        ("id", pa.string()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("rule", pa.string()),
        ("severity", pa.string()),
    ]
)


@dataclass(frozen=True)
class Verdict:
    """The gate's word on one batch.

    ``passing`` says for each row whether it keeps every critical rule; ``failures`` lists every failure of the batch, warnings
    included, in row order, as :data:`FAILURES_SCHEMA`.
    """

    passing: pa.BooleanArray
    failures: pa.Table

    @property
    def all_pass(self) -> bool:
        """True if every row does."""
        return not self.passing.false_count


_OTHER_STORES = ("sqlalchemy", "botocore", "boto3", "google")
"""Packages that Great Expectations imports if found, for data that lies in databases and clouds: a third of what is left of its import."""

_RARELY_USED = ("scipy.stats", "altair")
"""Two fifths of the import, for three expectations that only an extra suite can ask for."""


def load_checks() -> type[Session]:
    """Import Great Expectations: a gate does that when it is made, and who has a second to spare may do it before."""
    with absent(*_OTHER_STORES), deferred(*_RARELY_USED):
        from expectations.gx.session import Session  # noqa: PLC0415  # seconds of import, only for who needs it

    return Session


class Gate:
    """Judges a file batch by batch; :meth:`report` sums up.

    Args:
        profile: what the whole file says, made before from the same rows.
        now: naive, in the collection's timezone; without it nothing is overdue or in the future.
        extra_suite: a JSON file in Great Expectations' own suite format, whose expectations are held as well.
        rules: what to hold the deals to.

    Raises:
        ValueError: ``extra_suite`` cannot be read as a suite.
    """

    def __init__(
        self, profile: FileProfile, now: datetime | None = None, extra_suite: Path | None = None, rules: Sequence[Rule] = RULES
    ) -> None:
        self._profile, self._now = profile, now
        self._session = load_checks()(rules, extra_suite)
        self._rules: dict[tuple[str, str], Rule] = {rule.key: rule for rule in (*rules, *self._session.extra_rules)}
        self._rows: Counter[str] = Counter()
        self._failed: Counter[tuple[str, str]] = Counter()
        self._samples: dict[tuple[str, str], list[Failure]] = {key: [] for key in self._rules}
        self._failures: dict[Severity, list[Failure]] = {severity: [] for severity in Severity}

    def check(self, frame: pd.DataFrame) -> Verdict:
        """Judge one deals frame.

        Raises:
            ValueError: the frame is not a deals frame (a column missing, repeated or not text).
            GateError: Great Expectations or the metric broke.
        """
        row_checks = RowChecks(deals_table(frame), self._profile, self._now)
        findings = self._session.validate(frame, row_checks)
        verdict = self._verdict(row_checks.table, findings)
        self._count(findings, verdict, row_checks.table)
        return verdict

    def report(self) -> CheckReport:
        """The report on all batches so far."""
        whole, validation_result = self._session.conclude()
        self._failed.update({key: failed for key, failed in whole.items() if key not in self._failed})
        return CheckReport(
            rows=self._rows["all"],
            passed=self._rows["all"] - self._rows[Severity.CRITICAL],
            failing=self._rows[Severity.CRITICAL],
            warnings=self._rows[Severity.WARNING],
            results=tuple(
                RuleResult(rule.column, rule.name, rule.text, rule.severity, rule.standing, self._failed[key], tuple(self._samples[key]))
                for key, rule in self._rules.items()
            ),
            documented=self._rows["documented"],
            own=self._rows[Severity.CRITICAL] - self._rows["platform"],
            failures=tuple(sorted(chain(*self._failures.values()), key=lambda failure: failure.line)),
            validation_result=validation_result,
        )

    def _verdict(self, table: pa.Table, findings: Findings) -> Verdict:
        passing = np.ones(table.num_rows, dtype=bool)
        for key, positions in findings.items():
            if self._rules[key].severity is Severity.CRITICAL:
                passing[positions] = False
        return Verdict(pa.array(passing), self._list(table, findings))

    def _list(self, table: pa.Table, findings: Findings) -> pa.Table:
        found = [(self._rules[key], positions) for key, positions in findings.items() if len(positions)]
        if not found:
            return FAILURES_SCHEMA.empty_table()
        positions = np.concatenate([positions for _, positions in found])
        order = np.argsort(positions, kind="stable")
        rows = pa.array(positions[order])
        which = pa.array(np.repeat(np.arange(len(found)), [len(positions) for _, positions in found])[order])
        values = pa.concat_arrays([_cells(table, rule, positions) for rule, positions in found])

        def named(names: Sequence[str]) -> pa.Array:
            return pa.array(names).take(which)

        return pa.table(
            [
                one_chunk(table[SOURCE_LINE]).take(rows),
                one_chunk(table["id"]).take(rows),
                named([rule.column for rule, _ in found]),
                values.take(pa.array(order)),
                named([rule.name for rule, _ in found]),
                named([rule.severity.value for rule, _ in found]),
            ],
            schema=FAILURES_SCHEMA,
        )

    def _count(self, findings: Findings, verdict: Verdict, table: pa.Table) -> None:
        self._rows["all"] += table.num_rows
        self._rows[Severity.CRITICAL] += pc.sum(pc.invert(verdict.passing)).as_py() or 0
        warned = [positions for key, positions in findings.items() if self._rules[key].severity is Severity.WARNING]
        self._rows[Severity.WARNING] += _count_rows(warned, table.num_rows)
        platform = [(key, positions) for key, positions in findings.items() if _is_the_platform_s(self._rules[key])]
        self._rows["platform"] += _count_rows([positions for _, positions in platform], table.num_rows)
        documented = [positions for key, positions in platform if self._rules[key].is_documented]
        self._rows["documented"] += _count_rows(documented, table.num_rows)
        for key, positions in findings.items():
            self._failed[key] += len(positions)
            if len(positions) and (room := SAMPLES - len(self._samples[key])):
                self._samples[key] += _failures(self._list(table, {key: positions[:room]}))
        for severity, kept in self._failures.items():
            if room := LISTED[severity] - len(kept):
                kept.extend(_failures(verdict.failures.filter(pc.equal(verdict.failures["severity"], severity.value)).slice(0, room)))


def _is_the_platform_s(rule: Rule) -> bool:
    return rule.severity is Severity.CRITICAL and rule.standing is not None


def _count_rows(findings: Sequence[Positions], rows: int) -> int:
    """Number of rows that some of ``findings`` name."""
    named = np.zeros(rows, dtype=bool)
    for positions in findings:
        named[positions] = True
    return int(named.sum())


def _cells(table: pa.Table, rule: Rule, positions: Positions) -> pa.Array:
    """The values that break the rule."""
    if rule.column not in table.column_names:
        return pa.nulls(len(positions), pa.string())
    return one_chunk(table[rule.column]).take(pa.array(positions))


def _failures(rows: pa.Table) -> list[Failure]:
    columns = [column.to_pylist() for column in rows.columns]
    return [
        Failure(line, deal, column, value, rule, Severity(severity))
        for line, deal, column, value, rule, severity in zip(*columns, strict=True)
    ]


def check(frame: pd.DataFrame, now: datetime | None = None) -> CheckReport:
    """Judge one deals frame that is a whole file.

    Raises:
        ValueError: the frame is not a deals frame.
        GateError: Great Expectations or the metric broke.
    """
    gate = Gate(FileProfile.of([deals_table(frame)]), now)
    gate.check(frame)
    return gate.report()


def suite() -> ExpectationSuite:
    """The genuine ``great_expectations.ExpectationSuite`` of the deals schema."""
    from expectations.gx.suite import build_suite  # noqa: PLC0415  # seconds of import, only for who needs it

    return build_suite()


def build_docs(report: CheckReport, directory: Path) -> Path:
    """Write Data Docs of the report's validation result into ``directory`` and return its ``index.html``.

    Raises:
        ValueError: the report is of a sync, and has none.
    """
    if report.validation_result is None:
        raise ValueError("A sync's report has no validation result: take that of a check.")
    from expectations.gx.data_docs import write_docs  # noqa: PLC0415  # seconds of import, only for who needs it

    return write_docs(report.validation_result, directory)


__all__ = ["FAILURES_SCHEMA", "Gate", "GateError", "Verdict", "build_docs", "check", "suite"]
