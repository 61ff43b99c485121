"""The benchmark's other gates judge by the same rules: a gate that leaves some out would look faster than it is."""

from __future__ import annotations

from importlib import import_module

import pyarrow as pa
import pytest

from tests.benchmarks.deals import SCHEMA, make_deals

CONTENDERS = ("gate", "polars_by_hand", "pandera_on_pandas", "stock_great_expectations")

FAULTS: dict[str, dict[str, str | None]] = {
    "null word": {"stage": "NA"},
    "required": {"creationDatetime": None},
    "closed without a date": {"status": "closed_won", "closedDatetime": None},
    "negative": {"value": "-1"},
    "not plain": {"value": "1e3"},
    "one of": {"status": "won"},
    "yes or no": {"companyIsCustomer": "True"},
    "whole number": {"numberOfSentEmails": "1.5"},
    "calendar": {"creationDatetime": "2023-02-29T00:00:00"},
    "order": {"addDatetime": "1971-01-01T00:00:00"},
    "far ahead": {"expectedClosureDatetime": "2099-01-01T00:00:00"},
    "before 1970": {"lastUpdateDatetime": "1969-12-31T23:59:59"},
    "NUL": {"name": "a\0b"},
}


@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_contender_refuses_the_deals_with_a_fault_and_no_other(contender: str) -> None:
    """Fifty deals, of which the first have a fault each."""
    rows = make_deals(0, 50).to_pylist()
    for row, cells in zip(rows, FAULTS.values(), strict=False):
        row.update(cells)
    judge = import_module(f"tests.benchmarks.contenders.{contender}").prepare(pa.Table.from_pylist(rows, SCHEMA))
    assert judge() == len(FAULTS)
