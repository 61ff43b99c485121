"""The rules that the schema's declaration implies, and the warnings beside them.

A rule is critical when the platform would refuse the file, a warning when the deal is implausible but can be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from expectations.schema import COLUMNS, Column, Kind, Null, Severity

REQUIRED = "required"
UNIQUE = "unique"
SINCE_1970 = "since 1970"
NOT_NEGATIVE = "not negative"
ONE_OF = "one of"
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
    """One thing that must hold for one column; ``text`` goes on from the column's name and tells what to fix."""

    column: str
    name: str
    text: str
    severity: Severity = Severity.CRITICAL

    @property
    def key(self) -> tuple[str, str]:
        """Column and name: what identifies a rule."""
        return self.column, self.name


KIND_TEXTS = {
    Kind.DATETIME: "must be a real date and time written yyyy-mm-ddTHH:MM:SS, without fraction or zone",
    Kind.DECIMAL: "must be a plain decimal number such as 1000.50: digits and at most one point",
    Kind.INTEGER: "must be a whole number written in digits only",
    Kind.BOOLEAN: "must be true or false, in lower case",
}


def _kind_rules(column: Column) -> Iterator[Rule]:
    if column.kind is Kind.STRING:
        if not column.choices:
            yield Rule(column.name, NO_NUL, "must not hold the character NUL, with which the file is refused as not being text")
        return
    yield Rule(column.name, column.kind.value, KIND_TEXTS[column.kind])
    if column.kind is Kind.DATETIME:
        yield Rule(column.name, SINCE_1970, f"must lie between 1970 and {YEARS_AHEAD} years ahead")
    elif column.kind in {Kind.DECIMAL, Kind.INTEGER}:
        yield Rule(column.name, NOT_NEGATIVE, "must not be negative")


def column_rules(column: Column) -> Iterator[Rule]:
    """The critical rules of one column, in the order in which they are reported."""
    if column.null is Null.FORBIDDEN:
        yield Rule(column.name, REQUIRED, "must not be empty")
    if column.null is Null.WHILE_OPEN:
        yield Rule(column.name, CLOSED_NEEDS_DATE, "may be empty only while status is open")
    if column.unique:
        yield Rule(column.name, UNIQUE, "must occur only once in the file")
    yield from _kind_rules(column)
    if column.choices:
        yield Rule(column.name, ONE_OF, f"must be one of {', '.join(column.choices)}")
    if column.not_before:
        yield Rule(column.name, not_before(column.not_before), f"must not be before {column.not_before}")


def _warning(column: str, name: str, text: str) -> Rule:
    return Rule(column, name, text, Severity.WARNING)


CRITICAL_RULES: tuple[Rule, ...] = tuple(rule for column in COLUMNS for rule in column_rules(column))
"""What the platform refuses."""

WARNING_RULES: tuple[Rule, ...] = (
    _warning("closedDatetime", CLOSED_BEFORE_CREATED, "should not be before creationDatetime: a deal closes after it is created"),
    _warning("closedDatetime", CLOSED_IN_FUTURE, "should not lie in the future while status says won or lost"),
    _warning("expectedClosureDatetime", LONG_OVERDUE, f"should not be more than {OVERDUE_DAYS} days past while status is open"),
    _warning("currentStageStartDatetime", STAGE_BEFORE_CREATED, "should not be before creationDatetime: a stage begins after its deal"),
    _warning("value", WON_WITHOUT_VALUE, "should not be 0 while status says won"),
    _warning("value", OUTLIER, "should not be far from the other values of its stage"),
)
"""What can be sent and is probably wrong."""

RULES: tuple[Rule, ...] = CRITICAL_RULES + WARNING_RULES
