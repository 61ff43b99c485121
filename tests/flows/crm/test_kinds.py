"""Of every kind of fault that real exports have had the right thing is made, or it stops with what settles it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.crm.cases import outcome
from tests.flows.crm.kinds import KINDS, write
from tests.flows.crm.test_handed_cases import CASES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind's export."""
    folder = tmp_path_factory.mktemp("kinds")
    write(folder)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_ends_as_it_should(name: str, folder: Path) -> None:
    kind, became = KINDS[name], outcome(folder / name)
    sent = [" ".join(str(deal[column] or "-") for column in kind.shown) for deal in became.sent]
    assert (became.code, sent) == (kind.code, list(kind.sent))
    assert kind.says in became.said


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this repository")
def test_every_case_has_its_kind_here() -> None:
    handed = {
        f"{path.parent.name}/{path.name}" for folder in ("reports", "exports") for path in (CASES / folder).iterdir() if path.is_file()
    }
    assert {name for name in handed if Path(name).suffix in {".csv", ".xlsx", ".zip", ".toml"}} == set(KINDS)
