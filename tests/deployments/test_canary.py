"""Personal text in every column of every kind of broken export is found nowhere but in local files that their owner alone can read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployments.cli import main
from tests.broken_exports import CASES, COLUMNS_OF_ALL_KINDS, KINDS, NEEDLE, ONE_OF_A_KIND, PERSON, Make, rows_of
from tests.conftest import sampled


def said_of(path: Path, crm: str, caplog: pytest.LogCaptureFixture) -> str:
    """All that the commands which read an export say of it: stdout, stderr, logs, and the text of what stopped them."""
    said = []
    for command in (["check", path, "--crm", crm], ["check", path, "--crm", crm, "--json"], ["crms", path], ["crms", path, "--crm", crm]):
        ended = CliRunner().invoke(main, [str(word) for word in command])
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        assert ended.exit_code in (0, 3, 4), ended.output
        said.append(ended.stdout + ended.stderr)
    return "".join(said) + caplog.text


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, home: Path) -> None:  # noqa: ARG001 - commands stage in the home
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize(("make", "crm"), sampled(CASES, len(CASES) - len(COLUMNS_OF_ALL_KINDS) + len(ONE_OF_A_KIND)))
def test_what_commands_say_holds_no_cell(make: Make, crm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "deals.export"
    path.write_bytes(make(rows_of()))
    said = said_of(path, crm, caplog)
    assert len(said) > 100
    found = NEEDLE.search(said)
    assert not found, said[max(found.start() - 300, 0) : found.end() + 100]


def test_the_search_finds_a_leak(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells shown as they are, or logged at DEBUG, would fail the test above."""
    path = tmp_path / "deals.csv"
    path.write_bytes(KINDS["a person in value"](rows_of()))
    assert not NEEDLE.search(said_of(path, "canonical", caplog))
    logging.getLogger("dealcast.seeded").debug("read %s", PERSON)
    assert NEEDLE.search(said_of(path, "canonical", caplog))
    caplog.clear()
    monkeypatch.setattr("expectations.check_report.shape", str)
    assert NEEDLE.search(said_of(path, "canonical", caplog))
