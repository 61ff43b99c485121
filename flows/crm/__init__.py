"""CRM exports of any shape as deals frames; one TOML per CRM says how."""

from flows.crm.dialect import Dialect, known_dialects, load_dialect
from flows.crm.extraction import ALL_PIPELINES, ExportFacts, Extraction, open_export
from flows.crm.fit import ColumnFit, DialectFit, Fit, fit
from flows.crm.row_counts import RowCounts

__all__ = [
    "ALL_PIPELINES",
    "ColumnFit",
    "Dialect",
    "DialectFit",
    "ExportFacts",
    "Extraction",
    "Fit",
    "RowCounts",
    "fit",
    "known_dialects",
    "load_dialect",
    "open_export",
]
