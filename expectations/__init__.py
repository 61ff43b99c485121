"""The rules for a deal: the schema's one declaration, the Great Expectations suite made from it, and the gate.

``check(frame)`` judges a whole file, ``Gate`` a file in batches; both hide Great Expectations, which they import on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expectations.check_report import CheckReport, Failure, GateError, RuleResult
    from expectations.deals_schema import Severity
    from expectations.file_profile import FileProfile
    from expectations.gate import FAILURES_SCHEMA, Gate, Verdict, build_docs, check, suite

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

_MODULES = ("check_report", "file_profile", "gate", "schema")


def __getattr__(name: str) -> Any:
    """A name of the package, its module imported only now: what reads no deals does without Arrow.

    Raises:
        AttributeError: there is none of that name.
    """
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{each}" for each in _MODULES)):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
