"""The gate's findings: plain frozen types that know nothing of Great Expectations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expectations.deals_schema import COLUMNS, Kind, Severity, Standing
from expectations.disclosure import shape

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

SAMPLES = 20
"""Failures kept for each rule."""

LISTED = {Severity.CRITICAL: 20_000, Severity.WARNING: 1000}
"""Failures kept for the whole file."""


_TEXT_COLUMNS = frozenset(column.name for column in COLUMNS if column.kind is Kind.STRING)


def shown_cell(column: str, value: str | None) -> str:
    """A cell as it may be shown anywhere: its form, of a text its length; None is an empty cell."""
    if value is None:
        return "(empty)"
    return f"(text of {len(value)} characters)" if column in _TEXT_COLUMNS else shape(value)


class GateError(RuntimeError):
    """The gate itself broke: an exception inside Great Expectations or a metric says nothing about the data."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One cell that breaks one rule; ``line`` is where its row starts in the export (header = 1), ``value`` None when empty."""

    line: int
    id: str | None
    column: str
    value: str | None
    rule: str
    severity: Severity

    @property
    def shown(self) -> str:
        """The value as it may be shown anywhere: its form, of a text its length; the quarantine file has it as it is."""
        return shown_cell(self.column, self.value)

    @property
    def shown_id(self) -> str:
        """The id's form."""
        return shape(self.id) if self.id else "(none)"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule over the whole file: how many rows break it, and the first of them."""

    column: str
    rule: str
    text: str
    severity: Severity
    standing: Standing | None
    failed: int
    samples: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """The whole file's outcome.

    ``failing`` counts the rows that break a critical rule, ``warnings`` those that break a warning; ``results`` has every rule,
    ``failures`` the first of the failures (:data:`LISTED`) in the file's order. ``validation_result`` is Great Expectations' own, or None
    where the report comes from a sync: to read it in another process takes seconds of import.
    """

    rows: int
    passed: int
    failing: int
    warnings: int
    results: tuple[RuleResult, ...]
    failures: tuple[Failure, ...]
    documented: int
    """Those of ``failing`` that break a rule which the platform itself documents."""
    own: int
    """Those of ``failing`` that break nothing but rules of the user's own suite."""
    validation_result: ExpectationSuiteValidationResult | None = field(repr=False, compare=False)

    @property
    def failed_rules(self) -> tuple[RuleResult, ...]:
        """The rules that some row breaks."""
        return tuple(result for result in self.results if result.failed)

    @property
    def refusals(self) -> str:
        """Number of rows that fail, and how surely the platform refuses them, as the beginning of a sentence."""
        said = []
        if self.documented:
            said.append(f"{self.documented:,} of {self.rows:,} deals would be refused by the platform")
        if self.assumed and said:
            said.append(f"{self.assumed:,} are assumed to be")
        elif self.assumed:
            said.append(f"{self.assumed:,} of {self.rows:,} deals are assumed to be refused (the platform does not say so)")
        if self.own:
            among = "" if said else f" of {self.rows:,} deals"
            said.append(f"{self.own:,}{among} break a rule of your own suite (DEALCAST_EXTRA_SUITE)")
        return " and ".join(said)

    @property
    def assumed(self) -> int:
        """Those of ``failing`` that break a rule which is assumed of the platform, and none that it documents."""
        return self.failing - self.documented - self.own

    @property
    def failed_assumptions(self) -> tuple[RuleResult, ...]:
        """The critical rules that some row breaks, and that are only assumed of the platform."""
        return tuple(
            result
            for result in self.failed_rules
            if result.severity is Severity.CRITICAL and result.standing and not result.standing.is_documented
        )

    @property
    def stopped_by(self) -> tuple[RuleResult, ...]:
        """Critical expectations about the file as a whole that it does not meet: no quarantine fixes them."""
        return tuple(result for result in self.results if not result.column and result.failed and result.severity is Severity.CRITICAL)

    @property
    def why_stopped(self) -> str:
        """The expectations of :attr:`stopped_by` in words; empty where there are none."""
        broken = "; ".join(f"{result.rule}: {result.text}" for result in self.stopped_by)
        return broken and f"The export as a whole does not meet {broken}"

    @property
    def ok(self) -> bool:
        """True if the file can be sent whole."""
        return not self.failing and not self.stopped_by
