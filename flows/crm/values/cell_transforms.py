"""Values that an export does not state but that follow from what it states in the same row."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc

from flows.crm.values.cells import NUMERIC_CELL, by_value
from flows.crm.values.identifiers import plain_ids

_PERIODS = {"daily", "weekly", "monthly", "quarterly", "annual", "annually", "yearly", "once"}
"""Any other word behind an amount may be a factor: `5 million`."""


def derive(how: str, columns: Sequence[pa.Array], separator: str) -> pa.Array:
    """The text that ``how`` (a dialect's word) makes of one or more columns; ``separator`` parts the entries of a list."""
    column, within = columns[0], re.escape(separator)
    if how == "join":
        return pc.binary_join_element_wise(*map(plain_ids, columns), "|")
    if how == "count":
        return pc.fill_null(pc.count_substring_regex(column, rf"[^{within}\s][^{within}]*"), 0).cast(pa.string())
    if column.null_count == len(column):
        return column
    if how == "first":
        several = pc.match_substring(column, separator)
        first = pc.replace_substring_regex(column.filter(several), rf"(?s)\s*{within}.*", "")
        return pc.utf8_trim_whitespace(pc.replace_with_mask(column, several, first))
    if how == "mail_domain_of":
        domain = pc.struct_field(pc.extract_regex(column, r"^[^;@]*@(?P<domain>[^\s;()<>@,]+)"), "domain")
        return by_value(domain, _domain_kind)
    return by_value(column, number_in if how == "number_in" else _hundredth)


def _domain_kind(domain: str) -> str | None:
    """`company` or `free_provider`, as in the platform's own example."""
    if "." not in domain.strip("."):
        return None
    return "free_provider" if domain.casefold() in _free_providers() else "company"


@cache
def _free_providers() -> frozenset[str]:
    return frozenset(tomllib.loads((resources.files("flows.crm.values") / "words" / "free_mail.toml").read_text("utf-8"))["domains"])


def number_in(text: str) -> str:
    """The amount at the head of a text such as `$1,500 monthly`."""
    head, _, tail = text.strip().rpartition(" ")
    return head if head and tail in _PERIODS else text


def _hundredth(text: str) -> str:
    """An amount that the CRM counts in cents."""
    try:
        return f"{Decimal(text.removeprefix(NUMERIC_CELL)) / 100:f}"
    except InvalidOperation:
        return text
