"""The conformance suite itself: what it reads, what it says, and that its facts name places that exist."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deployments.sandbox import Sandbox
from expectations.deals_schema import COLUMNS
from tests.conftest import HANG

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "tests" / "conformance"
FACTS: dict[str, dict[str, str]] = tomllib.loads((SUITE / "facts.toml").read_text(encoding="utf-8"))


def run(sandbox: Sandbox, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the suite from the command line, as one would against the real platform."""
    command = [sys.executable, "-m", "pytest", str(SUITE), "--base-url", sandbox.url, "-p", "no:cacheprovider", *options]
    env = {**os.environ, "DEALCAST_TOKEN": sandbox.token}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=HANG)


def test_by_default_it_only_reads(sandbox: Sandbox) -> None:
    ended = run(sandbox)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", ended.stdout)[0]) >= 8
    sent = sandbox.control("GET", "requests")
    assert {request["method"] for request in sent} == {"GET"}


def test_a_failure_names_the_fact_and_where_to_correct_it(sandbox: Sandbox) -> None:
    sandbox.control("POST", "faults", {"kind": "unknown_status", "method": "GET", "path": "*/append/*", "word": "done"})
    ended = run(sandbox, "--full", "-k", "an_upload_has_one_of")
    assert ended.returncode == 1
    fact = FACTS["upload-words"]
    assert (
        f"Wrong: [S] upload-words: {fact['fact']}. If the platform means it, correct flows/nostradamus/models.py: Status." in ended.stdout
    )
    assert "status 'done'" in ended.stdout


@pytest.mark.parametrize("key", FACTS)
def test_a_fact_names_a_place_that_exists(key: str) -> None:
    path, _, name = FACTS[key]["correct"].partition(": ")
    assert name in names_in(ROOT / path)


def names_in(module: Path) -> set[str]:
    """The names of a module: its functions, classes, constants and fields."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_every_fact_is_checked_or_says_why_not() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in SUITE.glob("test_*.py"))
    checked = set(re.findall(r'(?:fact|case|cell)\(\s*"([^"]+)"', tests))
    checked |= {"required", "required-sibling"} if "required-sibling" in tests else set()  # chosen by the column's standing
    assert checked == {key for key, fact in FACTS.items() if "unchecked" not in fact}


NOTES = ROOT.parent / "shared" / "PLATFORM.md"
needs_notes = pytest.mark.skipif(not NOTES.exists(), reason=f"{NOTES} is not here")


def standing_in_notes(quote: str) -> str:
    """What the notes say of a quote: the last standing in it, else that of its row in a table, else that of its section."""
    text = " ".join(NOTES.read_text(encoding="utf-8").replace("**", "").split(" "))
    flat = re.sub(r"\s+", " ", text)
    assert quote in flat, f"the notes do not say {quote!r}"
    if marked := re.findall(r"\((?:new, )?(S|D\*|D|A)(?![\w*])", quote):
        return str(marked[-1])
    if quote.startswith("|"):
        [row] = [line for line in NOTES.read_text(encoding="utf-8").splitlines() if line.startswith(quote)]
        return row.rstrip(" |").rpartition("|")[2].strip()
    return str(re.findall(r" ## [^#(]*\((S|D\*|D|A)\) ", flat[: flat.index(quote)])[-1])


@needs_notes
@pytest.mark.parametrize("key", FACTS)
def test_a_fact_stands_as_the_notes_on_the_documentation_have_it(key: str) -> None:
    quote = FACTS[key].get("quote")
    assert FACTS[key]["source"] == (standing_in_notes(quote) if quote else "A")


@needs_notes
def test_a_column_stands_as_the_notes_on_the_documentation_have_it() -> None:
    lines = NOTES.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ") and line.count("|") == 6]
    table = {name.strip(): row[-1] for row in rows for name in row[0].split(",")}
    [prose] = re.findall(r"down to `stage` for Sales Forecasting; (.*?) below are", " ".join(lines))
    siblings = {*re.findall(r"`(\w+)`", prose), *(name for name in table if name.startswith("numberOf"))}
    assert {column.name: column.standing.value for column in COLUMNS} == {
        column.name: "D*" if column.name in siblings else table[column.name] for column in COLUMNS
    }
