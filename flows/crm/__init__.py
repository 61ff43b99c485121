"""CRM exports of any shape as deals frames; one TOML per CRM says how."""

from flows.crm.dialect import Dialect, known_dialects, load_dialect
from flows.crm.extraction import ALL_PIPELINES, ExportFacts, Extraction, open_export
from flows.crm.guide.best_dialect import NOTHING_SAID, ColumnFit, DialectFit, Fit, Said, fit
from flows.crm.guide.skeleton import ID_COST, id_line, skeleton
from flows.crm.row_counts import RowCounts

__all__ = [
    "ALL_PIPELINES",
    "ID_COST",
    "NOTHING_SAID",
    "ColumnFit",
    "Dialect",
    "DialectFit",
    "ExportFacts",
    "Extraction",
    "Fit",
    "RowCounts",
    "Said",
    "fit",
    "id_line",
    "known_dialects",
    "load_dialect",
    "open_export",
    "skeleton",
]
