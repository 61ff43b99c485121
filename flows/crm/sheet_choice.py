"""The choice of a sheet: of a workbook the one whose header row lacks least of what a dialect needs; others that fit as well are told."""

from __future__ import annotations

from dataclasses import replace

from flows.crm.dialect import Dialect
from flows.crm.files.contents import Contents
from flows.crm.files.header_row import find_layout, folded
from flows.crm.header_match import Bound
from flows.errors import ExportUnreadable


def bind(dialect: Dialect, contents: Contents, location: str) -> Bound:
    """Find the header row that the dialect recognises best; of a workbook the sheet that lacks least, the first of those.

    Raises ExportUnreadable for what is no table.
    """
    known = {folded(header) for header in dialect.headers()}
    bounds, sheets = [], contents.sheets or (contents,)
    for sheet in sheets:
        try:
            bounds.append(Bound(dialect, find_layout(sheet, location, lambda cell: folded(cell) in known), sheet))
        except ExportUnreadable:
            if sheet is sheets[-1] and not bounds:
                raise
    best = min(bounds, key=lambda bound: (len(bound.missing), -bound.layout.recognised))
    if best.missing:
        return best
    return replace(best, twins=tuple(bound.contents.member or "" for bound in bounds if bound is not best and not bound.missing))
