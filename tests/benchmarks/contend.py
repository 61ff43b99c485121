"""Contenders take turns, each in a process of its own that waits while another is at work.

A contender is a module in ``contenders`` with ``prepare(table)``, which returns a function that judges the whole table once and
returns the number of rows refused. Reading the file, imports and one round to warm up are not timed. On a busy machine turns are
what keeps the comparison fair: two that ran in the same seconds met the same neighbours.
"""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import IO, Self

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contender took: seconds of every turn, rows refused, and its process's peak resident bytes."""

    turns: tuple[float, ...]
    refused: int
    peak: int

    @property
    def seconds(self) -> float:
        """The median."""
        return median(self.turns)

    def ratio_to(self, other: Outcome) -> float:
        """The median of the ratios turn by turn."""
        return median(ours / theirs for ours, theirs in zip(self.turns, other.turns, strict=True))


class Contender:
    """A process that judges the deals of ``file`` by ``tests.benchmarks.contenders.MODULE`` whenever asked."""

    def __init__(self, module: str, file: Path, *, warm: bool) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.contend", module, str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._turns: list[float] = []
        if warm:
            self._ask()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait()

    def turn(self) -> None:
        """Judge once, timed."""
        self._turns.append(float(self._ask()["seconds"]))

    def outcome(self) -> Outcome:
        """What it took so far."""
        answer = self._ask(work=False)
        return Outcome(tuple(self._turns), int(answer["refused"]), int(answer["peak"]))

    def _ask(self, *, work: bool = True) -> dict[str, float]:
        _pipe(self._process.stdin).write("judge\n" if work else "tell\n")
        _pipe(self._process.stdin).flush()
        answer: dict[str, float] = json.loads(_pipe(self._process.stdout).readline())
        return answer


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def take_turns(contenders: Sequence[tuple[str, Path]], rounds: int) -> list[Outcome]:
    """Let all contenders judge in turn, ``rounds`` times; a single round goes without warming up."""
    with ExitStack() as processes:
        running = [processes.enter_context(Contender(module, file, warm=rounds > 1)) for module, file in contenders]
        for _ in range(rounds):
            for contender in running:
                contender.turn()
        return [contender.outcome() for contender in running]


def main() -> None:
    """Be a contender: judge for each line that asks for it."""
    module, file = sys.argv[1:]
    prepare = importlib.import_module(f"tests.benchmarks.contenders.{module}").prepare
    with pa.OSFile(file) as source:
        judge = prepare(pa.ipc.open_file(source).read_all())
    seconds, refused = 0.0, 0
    for line in sys.stdin:
        if line == "judge\n":
            begun = time.perf_counter()
            refused = judge()
            seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sys.stdout.write(json.dumps({"seconds": seconds, "refused": refused, "peak": peak}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
