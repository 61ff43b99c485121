"""The rules for a deal: the one declaration of the platform's 35 deal columns.

The expectation suite, the mapping of CRM exports and the CSV writer all read this module, so a
correction here is a correction everywhere. Facts and their sources are those of the platform's contract:

* ``S``: the platform's own specification ("Append Data"), which wins over the rest
* ``D``: other pages of the platform's public documentation
* ``D*``: the documentation of a sibling product on the same platform: good, not certain
* ``A``: our assumption
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The type of a column's values, as text in the CSV."""

    STRING = "string"
    DATETIME = "datetime"
    DECIMAL = "decimal"
    INTEGER = "integer"
    BOOLEAN = "boolean"


class Null(StrEnum):
    """The cases in which a column may be empty."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    WHILE_OPEN = "only while status is open"


class Standing(StrEnum):
    """The certainty of a fact of the platform; only the first two are told to a user as the platform's own."""

    SPECIFICATION = "S"
    DOCUMENTED = "D"
    SIBLING = "D*"
    ASSUMED = "A"

    @property
    def is_documented(self) -> bool:
        """True if the platform itself says so."""
        return self in {Standing.SPECIFICATION, Standing.DOCUMENTED}


class Severity(StrEnum):
    """``critical``: the platform refuses the file, or is assumed to. ``warning``: implausible, reported and sent."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the deals CSV.

    ``example`` is a valid value, ``standing`` says how surely its type and rule are known, ``unique`` holds within a
    file (A), ``choices`` lists the only words allowed, ``not_before`` names a datetime column that this one must not precede.
    Every decimal and integer is "positive", which admits zero (A).
    """

    name: str
    kind: Kind
    meaning: str
    example: str
    standing: Standing
    null: Null = Null.ALLOWED
    unique: bool = False
    choices: tuple[str, ...] = ()
    not_before: str | None = None


STATUSES = ("closed_won", "closed_lost", "open")
"""The words of ``status`` (D)."""

EPOCH = "1970-01-01T00:00:00"
"""Datetimes before it are refused (D)."""

NULL_WORDS = frozenset(
    {"NA", "N/A", "n/a", "null", "NULL", "None", "NaN", "nan", "-NaN", "-nan", "#N/A", "#N/A N/A", "#NA", "<NA>", r"\N"}
    | {"1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
"""The words that the platform may read as an empty cell, as pandas does, and that of databases (A)."""

_D, _SIBLING, _A = Standing.DOCUMENTED, Standing.SIBLING, Standing.ASSUMED

COLUMNS: tuple[Column, ...] = (
    Column("id", Kind.STRING, "the deal's identifier in the CRM; a known id replaces that deal", "1", _D, Null.FORBIDDEN, unique=True),
    Column("name", Kind.STRING, "the deal's name", "Customer A - annual supply", _D),
    Column("description", Kind.STRING, "free text", "Partnership agreement", _D),
    Column("creationDatetime", Kind.DATETIME, "when the deal came into being", "2024-05-01T08:00:00", _D, Null.FORBIDDEN),
    Column(
        "addDatetime",
        Kind.DATETIME,
        "when the deal was entered in the CRM",
        "2024-05-01T08:00:00",
        _D,
        Null.FORBIDDEN,
        not_before="creationDatetime",
    ),
    Column("closedDatetime", Kind.DATETIME, "when the deal was won or lost", "2024-06-10T09:15:30", _D, Null.WHILE_OPEN),
    Column("expectedClosureDatetime", Kind.DATETIME, "when the deal is or was expected to close", "2024-06-10T09:15:30", _D),
    Column("status", Kind.STRING, "whether the deal is won, lost or open", "closed_won", _D, Null.FORBIDDEN, choices=STATUSES),
    Column("stage", Kind.STRING, "the deal's stage in its pipeline", "Negotiation", _D, Null.FORBIDDEN),
    Column("currentStageStartDatetime", Kind.DATETIME, "when the deal entered its stage", "2024-06-10T09:15:30", _SIBLING, Null.FORBIDDEN),
    Column("value", Kind.DECIMAL, "the deal's amount, in the collection's one currency", "1000.00", _SIBLING, Null.FORBIDDEN),
    Column("numberOfSentEmails", Kind.INTEGER, "e-mails sent to the deal's contacts", "5", _SIBLING),
    Column("numberOfEmailOpens", Kind.INTEGER, "times those e-mails were opened", "20", _SIBLING),
    Column("numberOfReceivedEmails", Kind.INTEGER, "e-mails received from the deal's contacts", "5", _SIBLING),
    Column("numberOfMeetings", Kind.INTEGER, "meetings held about the deal", "10", _SIBLING),
    Column("lastInteractionDatetime", Kind.DATETIME, "the last contact with the customer", "2024-06-18T12:30:45", _SIBLING),
    Column("accountId", Kind.STRING, "the account the deal belongs to", "x", _A),
    Column("accountAverageResponseTime", Kind.DECIMAL, "the account's average time to respond (unit not documented)", "5", _A),
    Column("companyId", Kind.STRING, "the customer company's identifier", "123", _A),
    Column("companyNumberOfEmployees", Kind.INTEGER, "the company's headcount", "50", _A),
    Column("companyRevenue", Kind.DECIMAL, "the company's yearly revenue", "1000060.50", _A),
    Column("companyIndustry", Kind.STRING, "the company's industry", "Technology", _A),
    Column("companyType", Kind.STRING, "the company's type", "private", _A),
    Column("companyDescription", Kind.STRING, "what the company does", "Leading AI solutions...", _A),
    Column("companyTechnologies", Kind.STRING, "technologies the company uses, joined with `;`", "AI;Machine Learning;Web", _A),
    Column("companyCity", Kind.STRING, "the company's city", "Oslo", _A),
    Column("companyCountry", Kind.STRING, "the company's country", "Norway", _A),
    Column("companyIsCustomer", Kind.BOOLEAN, "whether the company is a customer already", "true", _A),
    Column("contactId", Kind.STRING, "the main contact's identifier", "456", _A),
    Column("contactNumberOfConversions", Kind.INTEGER, "conversions recorded for the contact", "5", _A),
    Column("contactEmailDomainType", Kind.STRING, "the kind of e-mail domain; seen: company, free_provider", "company", _A),
    Column("contactEmailOptedOut", Kind.BOOLEAN, "whether the contact opted out of e-mail", "true", _A),
    Column("contactAverageResponseTime", Kind.DECIMAL, "the contact's average time to respond (unit not documented)", "5", _A),
    Column(
        "lastUpdateDatetime", Kind.DATETIME, "when the deal was last changed in the CRM", "2024-06-18T12:30:45", _SIBLING, Null.FORBIDDEN
    ),
    Column("lastSyncedAt", Kind.DATETIME, "when the deal was last synced; dealcast fills it", "2024-06-18T12:30:45", _A),
)
"""The columns in the order of the specification's example (S)."""

COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

SOURCE_LINE = "source_line"
"""Name of the frame column that carries a row's line number in the export; it never reaches the CSV."""
