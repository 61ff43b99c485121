"""What a command prints, on a terminal or in a pipe that has few signs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.command_line.base_command import write_what_a_terminal_has
from expectations.deals_schema import COLUMNS
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.conftest import Dealcast

EXPORT = Path(__file__).resolve().parents[2] / "deployments/commands/demo/hubspot-crm-exports-all-deals-2026-11-02.csv"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", "Zoe ... ## -> - ?"), ("latin-1", "Zoë ... ## -> · ?"), ("utf-8", "Zoë … ██ → · ?")],
)
def test_a_sign_that_a_terminal_lacks_is_the_nearest_that_it_has(monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str) -> None:
    """Half a pair of surrogates, as in the name of a file that is no text, is a sign that no terminal has."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    write_what_a_terminal_has()
    sys.stdout.write("Zoë … ██ → · \udce9")
    sys.stdout.flush()
    assert written.getvalue().decode(encoding) == expected


@pytest.mark.parametrize("command", [("crms",), ("check", "--crm", "hubspot")], ids=lambda each: each[0])
def test_a_terminal_of_80_columns_has_room_for_every_column_s_name(
    dealcast: Dealcast, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """No name and no example is cut; the lines of `check` that say where the rows are may be longer."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = dealcast(command[0], EXPORT, *command[1:]).stdout.splitlines()
    table = [line for line in lines if line.startswith("│")]
    assert table
    assert all(len(line) <= 80 and "…" not in line for line in table)
    if command[0] == "crms":
        said = " ".join(table)
        assert all(column.name in said for column in COLUMNS), "those that are left empty too"


@pytest.mark.parametrize("more", sampled({"tables": [], "JSON": ["--json"]}))
def test_a_check_on_an_ascii_terminal_ends_without_a_traceback(tmp_path: Path, more: list[str]) -> None:
    """Its tables are cut with an ellipsis, and its JSON is exact, and alone on stdout."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "DEALCAST_HOME": str(tmp_path)}
    command = [str(Path(sys.executable).with_name("dealcast")), "check", str(EXPORT), "--crm", "hubspot", "--timezone", "Europe/Rome"]
    ended = subprocess.run([*command, *more], env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.isascii()
    assert b"UnicodeEncodeError" not in ended.stderr
    if more:
        assert json.loads(ended.stdout)["deals"] == 480
        assert ended.stderr == b""
