"""CRM exports of any shape as deals frames; one TOML per CRM says how."""

from flows.crm.dialect import Dialect, known_dialects, load_dialect
from flows.crm.extraction import ALL_PIPELINES, Account, ExportFacts, Extraction, open_export
from flows.crm.fit import ColumnFit, DialectFit, Fit, fit

__all__ = [
    "ALL_PIPELINES",
    "Account",
    "ColumnFit",
    "Dialect",
    "DialectFit",
    "ExportFacts",
    "Extraction",
    "Fit",
    "fit",
    "known_dialects",
    "load_dialect",
    "open_export",
]
