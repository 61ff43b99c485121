"""The README and the code say the same: every command, option, setting, error and exit code, and none besides."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deployments.cli import EPILOG, main
from flows import errors
from flows.errors import DealcastError
from flows.runtime.prefect_api import SERVER_SETTINGS
from flows.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WITHOUT_A_CLASS = {0: "done", 9: "collections verify", 130: "Ctrl-C", 143: "SIGTERM"}
"""Exit codes that no error has: all is well, a comparison that found differences, and an end from outside."""


def commands(group: click.Group = main, prefix: str = "dealcast") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def section(title: str) -> str:
    """The text of a second-level heading, up to the next."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def documented() -> dict[str, str]:
    """The text of each command's heading, by the command's name without its arguments."""
    parts = re.split(r"^### `(dealcast [^`]*)`$", section("Commands"), flags=re.MULTILINE)
    return {re.sub(r" \[?[A-Z_]+\]?", "", heading): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_the_readme_has_every_command_and_no_other() -> None:
    assert set(documented()) == {name for name, _ in commands()}


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_the_readme_has_every_option_of_a_command_and_no_other(name: str, command: click.Command) -> None:
    options = {opt for parameter in command.params if isinstance(parameter, click.Option) for opt in parameter.opts}
    rows = set(re.findall(r"^\| `(--[a-z-]+)", documented()[name], re.MULTILINE))
    assert rows == options


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_and_option_has_a_help(name: str, command: click.Command) -> None:
    assert command.help, name
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option)), name


def test_options_named_anywhere_in_the_readme_exist() -> None:
    known = {opt for _, command in commands() for parameter in command.params for opt in parameter.opts} | {"--help", "--version"}
    of_others = {"--no-prompt", "--all", "--prefect-file", "--pool", "--type", "--base-url"}  # prefect's, and the conformance tests'
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known | of_others


def test_the_readme_has_every_setting_and_no_other() -> None:
    settings = {f"DEALCAST_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^\| `(DEALCAST_[A-Z_]+)` ", section("Settings"), re.MULTILINE)) == settings
    assert set(re.findall(r"\bDEALCAST_[A-Z_]+", README)) <= settings


def test_the_readme_has_every_error_with_its_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (?:`(\w+)` )?\|", section("Operating"), re.MULTILINE)
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DealcastError)]
    assert sorted((int(code), name) for code, name in rows if name) == sorted((each.exit_code, each.__name__) for each in classes)
    assert {int(code) for code, name in rows if not name} == set(WITHOUT_A_CLASS)


def test_help_and_readme_give_the_same_exit_codes() -> None:
    in_help = {int(code) for code in re.findall(r"(?:^|[:,] )(\d+) ", EPILOG)}
    in_readme = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Operating"), re.MULTILINE)}
    assert in_help == in_readme


def test_a_prefect_server_s_settings_are_the_same_wherever_it_is_started() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["prefect"]["server"]
    groups = {"concurrency": declared["concurrency"]} | {f"services_{name}": group for name, group in declared["services"].items()}
    here = {f"PREFECT_SERVER_{group}_{name}".upper(): str(value) for group, settings in groups.items() for name, value in settings.items()}
    assert here == SERVER_SETTINGS
    assert "\n".join(f"{name}={value}" for name, value in SERVER_SETTINGS.items()) in README


def test_every_deployment_is_in_the_readme() -> None:
    text = (ROOT / "deployments/prefect.yaml").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `[a-z-]+/([a-z-]+)` ", section("Scheduling and the Prefect UI"), re.MULTILINE))
    assert shown == set(re.findall(r"^  - name: (\S+)$", text, re.MULTILINE))


def test_the_completion_that_the_readme_shows_completes() -> None:
    """Click's completion needs the entry point's name in the variable."""
    from click.shell_completion import BashComplete  # noqa: PLC0415 - this test alone

    complete = BashComplete(main, {}, "dealcast", "_DEALCAST_COMPLETE")
    assert "_DEALCAST_COMPLETE=bash_source" in section("Commands")
    assert "sync" in [item.value for item in complete.get_completions([], "sy")]
    assert "--accept-shrink" in [item.value for item in complete.get_completions(["sync"], "--acc")]
