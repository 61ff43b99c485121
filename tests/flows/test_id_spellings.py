"""A deal that is held under one spelling of its id is never sent under another beside it, whatever a user accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.errors import StoppedByGuard
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Held, Sync

HEADER = "Id,Name,StageName,Amount,CloseDate,CreatedDate,LastModifiedDate,IsWon,IsClosed\n"
ROW = "{},Deal,Closed Won,1000,2024-01-02,2023-12-01T09:00:00.000Z,2024-02-01T00:00:00.000Z,true,true\n"
SHORT = ["0061a00000AbCda", "0061a00000AbCdB", "0061a00000AbCEB"]
LONG = ["0061a00000AbCdaAAF", "0061a00000AbCdBAAV", "0061a00000AbCEBAA3"]


def write(path: Path, ids: list[str]) -> Path:
    path.write_text(HEADER + "".join(map(ROW.format, ids)))
    return path


@pytest.mark.parametrize(
    ("before", "after"),
    sampled(
        {
            "15 then 18": (SHORT, LONG),
            "zeros in front": (["7001", "8001"], ["007001", "8001"]),
            "18 then 15": (LONG, SHORT),
            "point zero": (["7001.0", "8001.0"], ["7001", "8001"]),
        }
    ),
)
def test_another_spelling_stops_whatever_is_accepted(
    sync: Sync, failing: Failing, held: Held, asked: Asked, tmp_path: Path, before: list[str], after: list[str]
) -> None:
    options = {"crm": "salesforce", "forecast": "never", "accept_shrink": True}
    assert sync(write(tmp_path / "first.csv", before), **options).is_completed()
    error = failing(write(tmp_path / "second.csv", after), **options)
    assert isinstance(error, StoppedByGuard)
    assert "--mode override" in str(error)
    assert not any(text in str(error) for text in {*before, *after} - {"8001"})
    assert (sorted(held()), asked("POST", "/api/*/append")) == (sorted(before), 1)
    assert sync(write(tmp_path / "second.csv", after), **options | {"mode": "override"}).is_completed()
    assert sorted(held()) == sorted(after)


@pytest.mark.slow
def test_blanks_around_an_id_change_nothing(sync: Sync, asked: Asked, tmp_path: Path) -> None:
    assert sync(write(tmp_path / "first.csv", SHORT), crm="salesforce", forecast="never").is_completed()
    blank = [f"{SHORT[0]} ", f"\u00a0{SHORT[1]}", f'="{SHORT[2]}"']
    assert sync(write(tmp_path / "second.csv", blank), crm="salesforce", forecast="never").is_completed()
    assert asked("POST", "/api/*/append") == 1


@pytest.mark.slow
def test_other_deals_are_no_other_spellings(sync: Sync, held: Held, tmp_path: Path) -> None:
    options = {"crm": "salesforce", "forecast": "never", "accept_shrink": True}
    assert sync(write(tmp_path / "first.csv", SHORT), **options).is_completed()
    assert sync(write(tmp_path / "second.csv", ["0061a00000AbCdb", "77"]), **options).is_completed()
    assert len(held()) == 5
