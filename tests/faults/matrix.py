"""The matrix: which cells there are, how they are run side by side, and the table of what came of them."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from queue import SimpleQueue

from deployments.sandbox import Sandbox, running
from tests.faults.cell import Cell, run_cell
from tests.faults.scenario import FAULTS, KILLS, STORIES


def plan(folder: Path, *, sample: int | None = None, seed: int = 0) -> list[Cell]:
    """Every kill point with every fault, each with one of the three stories in turn; or a seeded sample of them."""
    pairs = list(product(enumerate(KILLS), enumerate(FAULTS)))
    cells = [
        Cell(kill, fault, STORIES[(row + column) % len(STORIES)], folder / f"{row}-{column}") for (row, kill), (column, fault) in pairs
    ]
    return cells if sample is None else random.Random(seed).sample(cells, sample)


def run_all(cells: Sequence[Cell], workers: int, seconds: float) -> list[Cell]:
    """Run the cells, each worker against a sandbox of its own; those not begun after ``seconds`` are left out."""
    end = time.monotonic() + seconds
    free: SimpleQueue[Sandbox] = SimpleQueue()

    def one(cell: Cell) -> Cell | None:
        if time.monotonic() > end:
            return None
        sandbox = free.get()
        try:
            run_cell(cell, sandbox)
        except Exception as error:  # noqa: BLE001 - a cell that cannot be run is a failed cell, not the end of the matrix
            cell.problems.append(f"{type(error).__name__}: {error}")
        finally:
            free.put(sandbox)
        print(_line(cell), file=sys.stderr, flush=True)
        return cell

    with ExitStack() as sandboxes, ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            free.put(sandboxes.enter_context(running(queued_seconds=0.01, processing_seconds=0.03)))
        return [cell for cell in pool.map(one, cells) if cell is not None]


def as_table(cells: Sequence[Cell]) -> str:
    """Faults down, kill points across by number; a cell shows the POSTs that it took, or what failed."""
    kills = [kill for kill in KILLS if any(cell.kill == kill for cell in cells)]
    found = {(cell.kill, cell.fault): cell for cell in cells}
    lines = [f"| fault \\ killed at | {' | '.join(str(KILLS.index(kill) + 1) for kill in kills)} |", f"|---|{'---|' * len(kills)}"]
    for fault in FAULTS:
        row = [_shown(found.get((kill, fault))) for kill in kills]
        if any(row):
            lines.append(f"| {fault} | {' | '.join(row)} |")
    legend = [f"{KILLS.index(kill) + 1}. {kill}" for kill in kills]
    good = sum(cell.passed for cell in cells)
    runs = sum(len(cell.codes) for cell in cells)
    return "\n".join([*lines, "", *legend, "", f"{good} of {len(cells)} cells hold, {runs} runs."])


def _line(cell: Cell) -> str:
    return f"{'ok' if cell.passed else 'FAILS':5} {cell.kill} x {cell.fault} ({cell.story}): {cell.codes}"


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return str(cell.posts) if cell.passed else "FAILS"
