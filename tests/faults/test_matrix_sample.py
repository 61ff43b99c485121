"""A seeded sample of the crash and fault matrix; ``make faults`` runs all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.sandbox import Sandbox
from tests.conftest import sampled
from tests.faults.cell import Cell, run_cell
from tests.faults.matrix import as_table, plan
from tests.faults.scenario import FAULTS, KILLS, STORIES

SAMPLE = {f"{cell.kill} x {cell.fault} x {cell.story}": cell for cell in plan(Path(), sample=3, seed=20261123)}


@pytest.mark.parametrize("cell", sampled(SAMPLE))
def test_a_killed_sync_ends_well_however_the_platform_fares(cell: Cell, sandbox: Sandbox, tmp_path: Path) -> None:
    done = run_cell(Cell(cell.kill, cell.fault, cell.story, tmp_path / "cell"), sandbox)
    assert done.problems == []


def test_the_matrix_is_whole(tmp_path: Path) -> None:
    """At least 12 kill points by 10 faults, every pair once, every story with every fault."""
    cells = plan(tmp_path)
    assert len(KILLS) >= 12
    assert len(FAULTS) >= 10
    assert len({(cell.kill, cell.fault) for cell in cells}) == len(KILLS) * len(FAULTS) == len(cells)
    assert {(cell.fault, cell.story) for cell in cells} == {(fault, story) for fault in FAULTS for story in STORIES}


def test_a_cell_that_does_not_hold_is_shown(tmp_path: Path) -> None:
    cells = plan(tmp_path, sample=2)
    cells[0].problems.append("two forecasts")
    assert "FAILS" in as_table(cells)
    assert "1 of 2 cells hold" in as_table(cells)
