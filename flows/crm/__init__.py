"""CRM exports of any shape as deals frames; one TOML per CRM says how."""

from flows.crm.dialect import Dialect, known_dialects, load_dialect
from flows.crm.extraction import ALL_PIPELINES, ExportFacts, Extraction, open_export
from flows.crm.guide.fit import ColumnFit, DialectFit, Fit, fit
from flows.crm.guide.skeleton import ID_COST, id_line, skeleton
from flows.crm.row_counts import RowCounts

__all__ = [
    "ALL_PIPELINES",
    "ID_COST",
    "ColumnFit",
    "Dialect",
    "DialectFit",
    "ExportFacts",
    "Extraction",
    "Fit",
    "RowCounts",
    "fit",
    "id_line",
    "known_dialects",
    "load_dialect",
    "open_export",
    "skeleton",
]
