"""Run one contender in a process of its own: ``python -m tests.benchmarks.contend MODULE FILE TIMES``.

Every contender is a module with ``prepare(table)``, which returns a function that judges the whole table once and returns the
number of rows refused. Reading the file and one round to warm up are not timed.
"""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contender took: median seconds, rows refused, and its process's peak resident bytes."""

    seconds: float
    refused: int
    peak: int


def contend(module: str, file: Path, times: int) -> Outcome:
    """Run ``tests.benchmarks.contenders.MODULE`` over ``file`` and return what it took."""
    command = [sys.executable, "-m", "tests.benchmarks.contend", module, str(file), str(times)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Outcome(median(answer["seconds"]), answer["refused"], answer["peak"])


def main() -> None:
    """Run one contender here and print what it took."""
    module, file, times = sys.argv[1:]
    prepare = importlib.import_module(f"tests.benchmarks.contenders.{module}").prepare
    with pa.OSFile(file) as source:
        judge = prepare(pa.ipc.open_file(source).read_all())
    seconds, refused = [], judge() if int(times) > 1 else 0
    for _ in range(int(times)):
        begun = time.perf_counter()
        refused = judge()
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "refused": refused, "peak": peak}))


if __name__ == "__main__":
    main()
