"""Personal text in every column of every kind of broken export is found nowhere but in local files that their owner alone can read."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from click.testing import CliRunner

from deployments.cli import main
from flows import errors
from flows.deals.export_guard import ExportStats, object_to_age, object_to_deletion, object_to_override, object_to_reading, object_to_whole
from flows.deals.id_spellings import refuse_held_spellings
from flows.delivery.month_checks import object_to_first_month
from flows.errors import DealcastError, Objection, StoppedByGuard
from flows.runtime.prefect_settings import load_prefect
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
    load_prefect()  # which takes all handlers away, those that hear too, where the first command does it
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


@pytest.mark.parametrize("command", [("check", "--crm", "canonical", "--json"), ("crms",)])
def test_an_error_that_nothing_foresaw_quotes_no_cell(
    command: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ValueError(f"could not convert {PERSON}")

    monkeypatch.setattr("flows.crm.files.table_reader.TableReader.read", fail)
    path = tmp_path / "deals.csv"
    path.write_bytes(KINDS["a BOM"](rows_of()))
    ended = CliRunner().invoke(main, [command[0], str(path), *command[1:]])
    assert ended.exit_code == 1
    assert "ValueError at " in ended.stderr
    assert ("--json" in command) == ('"error": "Defect"' in ended.stdout)
    assert not NEEDLE.search(f"{ended.output}{caplog.text}")


KNOWN = ExportStats(100, 1e6, "2026-01-01T00:00:00", 60, 100, gone_ids=("kanari-6789012",), gone_file="gone.csv", changed=70, added=30)
BEFORE = {"deals": 200, "value": 1e7, "newest_update": "2026-02-01T00:00:00"}
THEN, NOW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)

GUARDS: dict[str, Callable[[], list[Objection] | None]] = {
    "shrunk": lambda: object_to_whole(KNOWN, BEFORE),
    "read differently": lambda: object_to_reading(["date_order was day-first, is month-first"], KNOWN),
    "gone": lambda: object_to_deletion(KNOWN, "1"),
    "empty": lambda: object_to_override("deals.csv", 0),
    "old": lambda: object_to_age(timedelta(1), THEN, "2020-01-01T00:00:00", now=NOW, local_now=NOW.replace(tzinfo=None)),
    "held otherwise": lambda: refuse_held_spellings([pa.array(["6789012.0"])], [pa.array(["6789012"])]),
    "too early": lambda: object_to_first_month(("2019-01-01", 7, "creationDatetime"), date(2026, 1, 1)),
}


@pytest.mark.parametrize("stop", GUARDS.values(), ids=GUARDS)
def test_no_guard_names_a_deal(stop: Callable[[], list[Objection] | None]) -> None:
    try:
        told = str(stop() or "")
    except StoppedByGuard as stopped:
        told = str(stopped)
    assert told
    assert told != "[]"
    assert not NEEDLE.search(told), told


HERE, IN_PREFECT, OF_ANSWERS = "test_canary.py", "test_canary_in_prefect.py", "test_no_cell_of_an_answer.py"
NOTHING_OF_A_DEAL = "made of names, paths, times and the kind of an error alone"
CANARIES = {
    "ExportError": HERE, "ExportUnreadable": HERE, "ExportUnmappable": HERE, "StoppedByGuard": HERE, "StoppedByGate": IN_PREFECT,
    "PlatformRefused": OF_ANSWERS, "NotAuthorized": OF_ANSWERS, "NotFound": OF_ANSWERS, "AppendRejected": IN_PREFECT,
    "ForecastFailed": IN_PREFECT, "UnexpectedAnswer": OF_ANSWERS, "PlatformBusy": OF_ANSWERS, "PlatformUnreachable": OF_ANSWERS,
    "OutcomeUnknown": OF_ANSWERS, "PlatformUnavailable": OF_ANSWERS, "DealcastError": HERE, "Defect": "test_data_process.py",
    **dict.fromkeys(
        ("FileTrouble", "UsageError", "LedgerDamaged", "ExportNotFound", "StillProcessing", "DeadlinePassed", "UploadPostponed",
         "Interrupted", "CollectionBusy", "LockLost", "PrefectAway"), NOTHING_OF_A_DEAL,
    ),
}  # fmt: skip
"""Each class of the tree, with the tests that provoke it by text about people."""


def test_every_class_of_errors_has_its_canary() -> None:
    classes = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, DealcastError)}
    assert classes == CANARIES.keys()
    assert {file for file in CANARIES.values() if file.endswith(".py")} <= {path.name for path in Path(__file__).parents[1].rglob("*.py")}
