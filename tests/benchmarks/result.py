"""What a benchmark found: rows of one table, each with its limit if it has one."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("dealcast", "prefect", "great-expectations", "pandas", "pyarrow", "httpx", "polars", "pandera", "dlt")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its unit, the limit that it is held to, and whether it keeps it."""

    what: str
    measured: str
    limit: str = ""
    kept: bool = True


def rows_of(part: str) -> list[Row]:
    """Run the benchmark ``part``."""
    rows: list[Row] = importlib.import_module(f"tests.benchmarks.{part}").run()
    return rows


def ratio(what: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> Row:
    """A figure without a unit, and its limit."""
    limits = [f"{sign} {limit:g}" for sign, limit in (("<=", at_most), (">=", at_least)) if limit is not None]
    kept = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    return Row(what, f"{value:.3f}", " ".join(limits), kept)


def as_table(parts: Iterable[tuple[str, Sequence[Row]]]) -> str:
    """All parts' rows as one Markdown table."""
    lines = ["| part | what | measured | limit | |", "|---|---|---:|---|---|"]
    for part, rows in parts:
        for row in rows:
            kept = "" if not row.limit else ("kept" if row.kept else "**not kept**")
            lines.append(f"| {part} | {row.what} | {row.measured} | {row.limit} | {kept} |")
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on, and with which versions."""
    models = [line.split(":", 1)[1].strip() for line in _cpu_info() if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}; {packages}."
    )


def _cpu_info() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []
