"""Personal text in every column of every kind of broken export is found nowhere but in local files that their owner alone can read."""

from __future__ import annotations

import logging
from itertools import cycle
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployments.cli import main
from tests.broken_exports import CASES, COLUMNS_OF_ALL_KINDS, KINDS, NEEDLE, ONE_OF_A_KIND, PERSON, Make, rows_of
from tests.conftest import sampled

Commands = tuple[tuple[str, ...], ...]

COMMANDS = (
    (("check", "EXPORT", "--crm", "CRM"), ("crms", "EXPORT")),
    (("check", "EXPORT", "--crm", "CRM", "--json"), ("crms", "EXPORT", "--crm", "CRM")),
)
"""Those that read an export: each time one half or the other, by turns, and both by ``make faults``."""


def said_of(path: Path, crm: str, caplog: pytest.LogCaptureFixture, commands: Commands) -> str:
    """All that commands say of an export: stdout, stderr, logs, and the text of what stopped them."""
    said = []
    for command in commands:
        ended = CliRunner().invoke(main, [{"EXPORT": str(path), "CRM": crm}.get(word, word) for word in command])
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        assert ended.exit_code in (0, 3, 4), ended.output
        said.append(ended.stdout + ended.stderr)
    return "".join(said) + caplog.text


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, home: Path) -> None:  # noqa: ARG001 - commands stage in the home
    caplog.set_level(logging.DEBUG)


OFTEN = len(CASES) - len(COLUMNS_OF_ALL_KINDS) + len(ONE_OF_A_KIND)


def by_turns(*halves: int) -> dict[str, tuple[Make, str, Commands]]:
    return {f"{name}: {half}": (*case, COMMANDS[half]) for (name, case), half in zip(CASES.items(), cycle(halves), strict=False)}


@pytest.mark.parametrize(("make", "crm", "commands"), [*sampled(by_turns(0, 1), OFTEN), *sampled(by_turns(1, 0), 0)])
def test_what_commands_say_holds_no_cell(
    make: Make, crm: str, commands: Commands, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "deals.export"
    path.write_bytes(make(rows_of()))
    said = said_of(path, crm, caplog, commands)
    assert len(said) > 100
    found = NEEDLE.search(said)
    assert not found, said[max(found.start() - 300, 0) : found.end() + 100]


def test_the_search_finds_a_leak(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells shown as they are, or logged at DEBUG, would fail the test above."""
    path = tmp_path / "deals.csv"
    path.write_bytes(KINDS["a person in value"](rows_of()))
    assert not NEEDLE.search(said_of(path, "canonical", caplog, COMMANDS[0]))
    logging.getLogger("dealcast.seeded").debug("read %s", PERSON)
    assert NEEDLE.search(said_of(path, "canonical", caplog, COMMANDS[0]))
    caplog.clear()
    monkeypatch.setattr("expectations.check_report.shape", str)
    assert NEEDLE.search(said_of(path, "canonical", caplog, COMMANDS[0]))
