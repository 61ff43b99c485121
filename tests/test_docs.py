"""The documentation and the code say the same: every command, option, setting, error and exit code, and none besides."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from typing import get_args

import click
import pytest
from click.testing import CliRunner

from deployments.cli import EPILOG, main
from deployments.command_line.exit_codes import EXIT_CODES
from flows.ledger.store import SendState
from flows.settings import Settings
from tests.make_docs import PARTS, ROOT, RUNBOOK, commands, options, with_parts

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted(
        chain(ROOT.glob("*.md"), *(ROOT.glob(f"{folder}/**/*.md") for folder in ("deployments", "flows", "expectations", "tests")))
    )
}
"""Every Markdown file of the project, by its path."""

README = PAGES["README.md"]

OF_OTHERS = {
    "--no-prompt",
    "--all",
    "--prefect-file",
    "--pool",
    "--type",
    "--base-url",
    "--limit",
    "--sample",
    "--write",
    "--openapi",
    "--build-arg",
    "--times",
    "--no-compile",
    "--no-deps",
    "--require-hashes",
}
"""Options of prefect, pytest, docker, and this project's own modules that are no commands."""

TEST_VARIABLES = {"DEALCAST_FAULTS", "DEALCAST_FUZZ", "DEALCAST_COMPLETE"}


@pytest.mark.parametrize("page", PARTS)
def test_the_machine_made_parts_are_up_to_date(page: str) -> None:
    text = PAGES[page]
    assert with_parts(text, PARTS[page]) == text, f"{page} does not say what the code says: run `make docs` and commit what it wrote"


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_and_option_has_a_help(name: str, command: click.Command) -> None:
    assert command.help, name
    assert all(option.help for option in options(command)), name


def test_a_narrow_terminal_gets_each_command_in_a_whole_sentence_on_a_line() -> None:
    listed = CliRunner().invoke(main, ["--help"], terminal_width=80).output.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == sorted(main.commands)
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("page", PAGES)
def test_options_and_variables_that_a_page_names_exist(page: str) -> None:
    known = {spelled for _, command in commands() for option in options(command) for spelled in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGES[page])) <= known | OF_OTHERS | {"--help", "--version", "--full", "--config"}
    variables = {f"DEALCAST_{name.upper()}" for name in Settings.model_fields}
    variables |= {str(option.envvar) for _, command in commands() for option in options(command) if option.envvar}
    assert set(re.findall(r"\bDEALCAST_[A-Z_]+\b", PAGES[page])) <= variables | TEST_VARIABLES


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        path, _, heading = target.partition("#")
        if "://" in target:
            continue
        place = (ROOT / page).parent / path if path else ROOT / page
        assert place.exists(), f"{page}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_sentences_are_short(page: str) -> None:
    """At most 30 words outside tables and code; a list item is a sentence of its own."""
    prose = re.sub(r"```.*?```|^\|.*$|<!--.*?-->", "\n\n", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    for paragraph in re.split(r"\n\s*\n|\n\* ", prose):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            assert len(sentence.split()) <= 30, f"{page}: {sentence}"


def test_the_readme_is_short_and_its_map_is_whole() -> None:
    assert len(README.splitlines()) <= 180
    mapped = set(re.findall(r"^\| `([a-z_/]+)/` \|", README.partition("## Map of the code")[2], re.MULTILINE))
    rooms = {path.parent for top in ("expectations", "flows", "deployments") for path in ROOT.glob(f"{top}/**/__init__.py")}
    shallow = {str(room.relative_to(ROOT)) for room in rooms if len(room.relative_to(ROOT).parts) <= 2}
    assert mapped == shallow | {"tests"}


def test_help_and_runbook_give_the_same_exit_codes() -> None:
    in_help = {int(code) for code in re.findall(r"(?:^|[:,] )(\d+) ", EPILOG)}
    assert in_help == set(EXIT_CODES) == {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES[RUNBOOK], re.MULTILINE)}


def test_a_prefect_server_s_settings_are_the_same_wherever_it_is_started() -> None:
    from flows.runtime.prefect_settings import SERVER_SETTINGS  # noqa: PLC0415 - the only test that needs it

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["prefect"]["server"]
    groups = {"concurrency": declared["concurrency"]} | {f"services_{name}": group for name, group in declared.get("services", {}).items()}
    here = {f"PREFECT_SERVER_{group}_{name}".upper(): str(value) for group, settings in groups.items() for name, value in settings.items()}
    assert here == SERVER_SETTINGS


def test_the_states_of_an_upload_are_drawn_and_explained() -> None:
    """The runbook's diagram has each state of the ledger, and no other."""
    diagram = PAGES[RUNBOOK].partition("```mermaid\nstateDiagram-v2\n")[2].partition("```")[0]
    drawn = {state for states in re.findall(r"^ *(\S+) --> ([a-z]+|\[\*\])", diagram, re.MULTILINE) for state in states}
    assert drawn - {"[*]"} == set(get_args(SendState))
    assert set(re.findall(r"^\| `([a-z]+)` \|", PAGES["flows/ledger/README.md"], re.MULTILINE)) == set(get_args(SendState))


def test_the_completion_that_the_runbook_shows_completes() -> None:
    """Click's completion needs the entry point's name in the variable."""
    from click.shell_completion import BashComplete  # noqa: PLC0415 - this test alone

    complete = BashComplete(main, {}, "dealcast", "_DEALCAST_COMPLETE")
    assert "_DEALCAST_COMPLETE=bash_source" in PAGES[RUNBOOK]
    assert "sync" in [item.value for item in complete.get_completions([], "sy")]
    assert "--accept-shrink" in [item.value for item in complete.get_completions(["sync"], "--acc")]
    assert [item.type for item in complete.get_completions(["sync"], "exports/a")] == ["file"], "file names are the shell's"
    assert [item.value for item in complete.get_completions(["sync", "--crm"], "hub")] == ["hubspot"]
    assert [item.type for item in complete.get_completions(["sync", "--crm"], "own/")] == ["file"]
