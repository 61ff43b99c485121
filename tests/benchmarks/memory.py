"""Whether memory grows with the export: peak resident bytes of a sync of N deals, and of five times as many, and of the sandbox.

Of each a first sync, which sends all of them, and a later one that finds half of them changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import psutil

from tests.benchmarks.result import Row, ratio
from tests.benchmarks.servers import servers
from tests.benchmarks.sync import make_export, measure, new_collection, peak_of

MIB = 2**20


def run() -> list[Row]:
    """The peaks, their ratio, and the larger one beside its limit."""
    deals = int(os.environ.get("N", "1_000_000"))
    first: list[int] = []
    later: list[int] = []
    rows = []
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as url:
        for count in (deals, 5 * deals):
            collection = new_collection(url)
            for peaks, what in ((first, "first sync"), (later, "half of them changed")):
                export = make_export(Path(place) / "deals.csv", count, changed=peaks is later)
                command = ["-m", "deployments.cli", "sync", str(export), "--crm", "canonical", "--no-forecast"]
                command += [*(["--accept-change"] if peaks is later else []), "--collection"]
                taken = measure([sys.executable, *command], url, collection)
                peaks.append(taken.peak)
                size = f"{export.stat().st_size / 1e6:.0f} MB"
                rows.append(Row(f"{count:,} deals, {size}, {what}", f"{taken.peak / MIB:.0f} MiB peak, {taken.client:.1f} s client"))
        rows.append(Row("the sandbox after all, files that it maps included", f"{_sandbox_peak() / MIB:.0f} MiB peak"))
    most = max(*first, *later) / MIB
    return [
        *rows,
        ratio("five times the deals / the deals, first sync", first[1] / first[0], at_most=1.15),
        ratio("five times the deals / the deals, half of them changed", later[1] / later[0], at_most=1.15),
        Row("peak", f"{most:.0f} MiB", "<= 1024 MiB", most <= 1024),
    ]


def _sandbox_peak() -> int:
    """The peak of the sandbox that runs as our child."""
    (sandbox,) = [child for child in psutil.Process().children() if "sandbox" in child.cmdline()]
    return peak_of(sandbox)
