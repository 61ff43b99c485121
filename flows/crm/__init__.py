"""CRM exports of any shape as deals frames; one TOML per CRM says how."""

from flows.crm.dialect import Dialect, known_dialects, load_dialect
from flows.crm.extraction import ALL_PIPELINES, Account, ExportFacts, Extraction, open_export

__all__ = ["ALL_PIPELINES", "Account", "Dialect", "ExportFacts", "Extraction", "known_dialects", "load_dialect", "open_export"]
