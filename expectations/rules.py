"""The rules that the schema's declaration implies, and the warnings beside them.

A rule is critical when the platform refuses the file, or is assumed to; a warning when the deal is implausible but can be sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from expectations.deals_schema import COLUMNS, Column, Kind, Null, Severity, Standing

REQUIRED = "required"
UNIQUE = "unique"
SINCE_1970 = "since 1970"
NOT_NEGATIVE = "not negative"
ONE_OF = "one of"
PLAIN = "plain"
NOT_FAR_AHEAD = "not far ahead"
NO_NULL_WORD = "no null word"
NO_NUL = "no NUL"
CLOSED_NEEDS_DATE = "closed needs closedDatetime"

CLOSED_BEFORE_CREATED = "closed before created"
STAGE_BEFORE_CREATED = "stage before created"
CLOSED_IN_FUTURE = "closed in the future"
LONG_OVERDUE = "open and long overdue"
WON_WITHOUT_VALUE = "won without value"
OUTLIER = "outlier for its stage"

YEARS_AHEAD = 20
"""A year further ahead is a typing error, and a forecast would begin there."""

OVERDUE_DAYS = 90
"""An open deal is long overdue when its expected closure is more than so many days past."""


def not_before(column: str) -> str:
    """The name of the rule that a datetime must not precede ``column``."""
    return f"not before {column}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold for one column; ``text`` goes on from the column's name and tells what to fix.

    ``standing`` says how surely the platform refuses what breaks it; None where the rule is not the platform's.
    """

    column: str
    name: str
    text: str
    severity: Severity = Severity.CRITICAL
    standing: Standing | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Column and name: what identifies a rule."""
        return self.column, self.name

    @property
    def is_documented(self) -> bool:
        """True if the platform itself has it."""
        return self.standing is not None and self.standing.is_documented

    @property
    def is_assumed(self) -> bool:
        """True if the platform is only assumed to have it."""
        return self.standing is not None and not self.standing.is_documented


KIND_TEXTS = {
    Kind.DATETIME: "must be a date and time written yyyy-mm-ddTHH:MM:SS",
    Kind.DECIMAL: "must be a decimal number such as 1000.50",
    Kind.INTEGER: "must be a whole number",
    Kind.BOOLEAN: "must be true or false, in lower case",
}

PLAIN_TEXTS = {
    Kind.DATETIME: "must be a day of the calendar and a time of the clock, without fraction or zone",
    Kind.DECIMAL: "must be written in digits and at most one point between them, without sign or exponent",
    Kind.INTEGER: "must be written in digits only",
}


def _kind_rules(column: Column) -> Iterator[Rule]:
    if column.kind is Kind.STRING:
        if not column.choices:
            text = "must not hold the character NUL, with which the file is refused as not being text"
            yield Rule(column.name, NO_NUL, text, standing=Standing.ASSUMED)
        return
    yield Rule(column.name, column.kind.value, KIND_TEXTS[column.kind], standing=column.standing)
    if column.kind in PLAIN_TEXTS:
        yield Rule(column.name, PLAIN, PLAIN_TEXTS[column.kind], standing=Standing.ASSUMED)
    if column.kind is Kind.DATETIME:
        yield Rule(column.name, SINCE_1970, "must not lie before 1970", standing=Standing.DOCUMENTED)
        far = f"must not lie more than {YEARS_AHEAD} years ahead: a typing error, from which the forecast would begin"
        yield Rule(column.name, NOT_FAR_AHEAD, far, standing=Standing.ASSUMED)
    elif column.kind in {Kind.DECIMAL, Kind.INTEGER}:
        yield Rule(column.name, NOT_NEGATIVE, "must not be negative", standing=column.standing)


def column_rules(column: Column) -> Iterator[Rule]:
    """The critical rules of one column, in the order in which they are reported."""
    if column.null is Null.FORBIDDEN:
        yield Rule(column.name, REQUIRED, "must not be empty", standing=column.standing)
        if column.kind is Kind.STRING and not column.choices:
            text = "must not be a word such as NA or null, which the platform may read as an empty cell"
            yield Rule(column.name, NO_NULL_WORD, text, standing=Standing.ASSUMED)
    if column.null is Null.WHILE_OPEN:
        yield Rule(column.name, CLOSED_NEEDS_DATE, "may be empty only while status is open", standing=column.standing)
    if column.unique:
        yield Rule(column.name, UNIQUE, "must occur only once in the file", standing=Standing.ASSUMED)
    yield from _kind_rules(column)
    if column.choices:
        yield Rule(column.name, ONE_OF, f"must be one of {', '.join(column.choices)}", standing=column.standing)
    if column.not_before:
        yield Rule(column.name, not_before(column.not_before), f"must not be before {column.not_before}", standing=column.standing)


def _warning(column: str, name: str, text: str) -> Rule:
    return Rule(column, name, text, Severity.WARNING)


CRITICAL_RULES: tuple[Rule, ...] = tuple(rule for column in COLUMNS for rule in column_rules(column))
"""Rules whose breach the platform refuses, or is assumed to, by each rule's standing."""

WARNING_RULES: tuple[Rule, ...] = (
    _warning("closedDatetime", CLOSED_BEFORE_CREATED, "should not be before creationDatetime: a deal closes after it is created"),
    _warning("closedDatetime", CLOSED_IN_FUTURE, "should not lie in the future while status says won or lost"),
    _warning("expectedClosureDatetime", LONG_OVERDUE, f"should not be more than {OVERDUE_DAYS} days past while status is open"),
    _warning("currentStageStartDatetime", STAGE_BEFORE_CREATED, "should not be before creationDatetime: a stage begins after its deal"),
    _warning("value", WON_WITHOUT_VALUE, "should not be 0 while status says won"),
    _warning("value", OUTLIER, "should not be far from the other values of its stage"),
)
"""Rules whose breach can be sent and is probably wrong."""

RULES: tuple[Rule, ...] = CRITICAL_RULES + WARNING_RULES


def accepting(names: Iterable[str]) -> tuple[Rule, ...]:
    """All rules, those that ``names`` name and that are only assumed being warnings.

    Args:
        names: a rule's name (``unique``), for every column where it is only assumed, or with its column (``value:required``).

    Raises:
        ValueError: a name is none of a rule that is only assumed; the text says which are.
    """
    accepted = {rule.key for name in names for rule in _assumed(name)}
    return tuple(replace(rule, severity=Severity.WARNING) if rule.key in accepted else rule for rule in RULES)


def _assumed(name: str) -> list[Rule]:
    column, _, rule_name = name.rpartition(":")
    named = [rule for rule in CRITICAL_RULES if rule.name == rule_name.strip() and column.strip() in ("", rule.column)]
    assumed = [rule for rule in named if rule.is_assumed]
    if assumed:
        return assumed
    if named:
        raise ValueError(f"{name!r} is documented: the platform refuses what breaks it, and no option changes that")
    known = sorted({rule.name for rule in CRITICAL_RULES if rule.is_assumed})
    close = difflib.get_close_matches(rule_name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"{name!r} is no rule.{hint} Those that are only assumed: {', '.join(known)}; or one with its column, as value:required"
    )
