"""Every file ends: the bombs are read by a process of their own, whose peak of memory is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.errors import ExportUnmappable, ExportUnreadable
from tests.flows.crm.bombs import DEAL, HEADER, bombs, cell, long_rows, shared_rows, workbook
from tests.flows.crm.conftest import Export, extract

MOST = 1024
"""MiB that a process may have had."""


def read(folder: Path, *files: Path) -> tuple[dict[str, str], list[int]]:
    """The answer about each file, and the peaks of the process that read them and of the parser of workbooks."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.crm.bombs", *map(str, files)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "DEALCAST_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    answers, peaks = json.loads(done.stdout)
    return answers, peaks


def test_every_bomb_is_refused_in_a_sentence_that_names_the_bound(tmp_path: Path) -> None:
    made = bombs(tmp_path) | long_rows(tmp_path)
    answers, peaks = read(tmp_path, *made)
    assert not {name: answers[str(name)] for name, said in made.items() if said not in answers[str(name)]}
    assert max(peaks) < MOST
    assert not [*(tmp_path / "home" / "staging").iterdir()]


@pytest.mark.slow
def test_long_cells_are_read_within_the_bound(tmp_path: Path) -> None:
    """A text, and a workbook that stays just below its bound: neither is held whole."""
    path = tmp_path / "long.csv"
    with path.open("w") as sink:
        sink.write(f"{HEADER}\n")
        sink.writelines(f"{number},{'A' * 5000},{','.join(DEAL[2:])}\n" for number in range(40_000))
    book = workbook(tmp_path / "long.xlsx", shared_rows(3, 1400), shared="A" * 32_000)
    answers, peaks = read(tmp_path, path, book)
    assert answers[str(path)] == "40000 deals"
    assert "several pipelines" in answers[str(book)]
    assert max(peaks) < MOST


def test_an_id_of_five_thousand_characters_is_none(tmp_path: Path, export: Export) -> None:
    path = export.with_deal(1, {"Record ID": "9" * 5000}).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match="line 3: id has 5000 bytes"):
        extract(path)


def test_a_workbook_beyond_the_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    path = str(workbook(tmp_path / "deals.xlsx", f'<row r="400">{cell("XFD400", "x")}</row>'))
    monkeypatch.setenv("DEALCAST_WORKBOOK_LIMIT", "150")
    with pytest.raises(ExportUnreadable, match="more than 150 MB of memory"):
        extract(path)
    monkeypatch.delenv("DEALCAST_WORKBOOK_LIMIT")
    assert len(extract(path)[0]) == 1
