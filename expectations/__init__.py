"""The rules for a deal: the schema's one declaration, the Great Expectations suite made from it, and the gate.

``check(frame)`` judges a whole file, ``Gate`` a file in batches; both hide Great Expectations, which they import on first use.
"""

from expectations.check_report import CheckReport, Failure, GateError, RuleResult
from expectations.file_profile import FileProfile
from expectations.gate import FAILURES_SCHEMA, Gate, Verdict, build_docs, check, suite
from expectations.schema import Severity

__all__ = [
    "FAILURES_SCHEMA",
    "CheckReport",
    "Failure",
    "FileProfile",
    "Gate",
    "GateError",
    "RuleResult",
    "Severity",
    "Verdict",
    "build_docs",
    "check",
    "suite",
]
