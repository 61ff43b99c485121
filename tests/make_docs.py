"""Write the machine-made parts of the documentation: ``make docs``.

A part stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` in one of the Markdown files, and is made from the code that decides it.
The demo's output is one too: it is printed anew with ``--demo``, and kept where only its ids, ports and folders would change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import yaml

from deployments.cli import main
from deployments.command_line.exit_codes import EXIT_CODES
from flows import errors
from flows.errors import DealcastError
from flows.settings import Settings
from tests.conftest import PATIENT_START

ROOT = Path(__file__).resolve().parents[1]
RUNBOOK = "deployments/README.md"
CONFORMANCE = "tests/conformance/README.md"


def commands(group: click.Group = main, prefix: str = "dealcast") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def options(command: click.Command) -> list[click.Option]:
    """The options of a command that its help shows."""
    return [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]


def as_commands() -> str:
    """Each command with its arguments, its first sentence, and a table of its options."""
    return "\n\n".join(_as_command(name, command) for name, command in commands())


def as_exit_codes() -> str:
    """Each exit code with the errors that have it and what they mean."""
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DealcastError)]
    rows = [(each.exit_code, f"`{each.__name__}`", _meaning(each)) for each in classes if each is not DealcastError]
    of_errors = {each.exit_code for each in classes}
    rows += [(code, "", meaning) for code, meaning in EXIT_CODES.items() if code not in of_errors]
    rows.append((DealcastError.exit_code, "`DealcastError`", EXIT_CODES[DealcastError.exit_code]))
    return _table(("exit", "error", "what it means"), sorted(rows, key=lambda row: row[0]))


def as_settings() -> str:
    """Each environment variable with its meaning and default."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if hasattr(field.default, "get_secret_value") else field.default
        default = f"{default:g}" if isinstance(default, float) else str(default).lower() if isinstance(default, bool) else default
        rows.append((f"`DEALCAST_{name.upper()}`", field.description or "", "" if default in (None, "") else f"`{default}`"))
    return _table(("variable", "meaning", "default"), rows)


def as_server_settings() -> str:
    """The environment that dealcast gives a Prefect server which it starts."""
    settings: dict[str, str] = import_module("flows.runtime.prefect_settings").SERVER_SETTINGS
    return "\n".join(["```console", *(f"{name}={value}" for name, value in settings.items()), "```"])


def as_deployments() -> str:
    """The deployments of `prefect.yaml` with their schedules."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "deployments/prefect.yaml").read_text(encoding="utf-8"))
    rows = []
    for each in document["deployments"]:
        flow = each["entrypoint"].rpartition(".")[2].replace("_", "-")
        schedules = ", ".join(f"`{schedule['cron']}` {schedule['timezone']}" for schedule in each["schedules"])
        rows.append((f"`{flow}/{each['name']}`", schedules or "none", each["description"]))
    return _table(("deployment", "schedule", "what it does"), rows)


def as_assumptions() -> str:
    """What dealcast assumes of the platform, the place in the code to correct, and the test that checks it."""
    facts: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests/conformance/facts.toml").read_text(encoding="utf-8"))
    assumed = {key: fact for key, fact in facts.items() if fact["source"] not in ("S", "D")}
    rows = [
        (fact["source"], fact["fact"], f"`{fact['correct']}`", f"no: {fact['unchecked']}" if "unchecked" in fact else f"`{key}`")
        for key, fact in assumed.items()
    ]
    return _table(("standing", "assumed", "correct it in", "checked as"), rows)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    RUNBOOK: {
        "commands": as_commands,
        "exit-codes": as_exit_codes,
        "settings": as_settings,
        "server-settings": as_server_settings,
        "deployments": as_deployments,
    },
    CONFORMANCE: {"assumptions": as_assumptions},
}
"""By Markdown file: its machine-made parts."""


def demo_output(folder: Path) -> str:
    """What ``make demo`` prints, of a run with its home in ``folder``; plain text 100 columns wide."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_"))}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder), "COLUMNS": "100", "PYTHONUTF8": "1", **PATIENT_START}
    command = [str(Path(sys.executable).with_name("dealcast")), "demo"]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return re.sub(r" +$", "", done.stdout.replace(f"{ROOT}/", ""), flags=re.MULTILINE)


def without_ids(output: str) -> list[str]:
    """The lines of a demo's output that every run has: ids, ports, folders and what depends on the day masked, and no line of a poll."""
    masked = re.sub(
        r"\b(?:[0-9a-f]{32}|[0-9a-f]{8})\b|127\.0\.0\.1:\d+|/\S*dealcast-demo-\w+|(?<=/forecast); .*|\d+ with a warning"
        r"|\b20\d\d-\d\d\b(?:-\d\d\b)?",
        "...",
        output,
    )
    return [line.rstrip() for line in masked.splitlines() if line.strip() and " of 3600 s" not in line]


def part_of(text: str, name: str) -> str:
    """What stands between the markers of ``name``."""
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]


def with_parts(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """``text`` with its machine-made parts as they should be.

    Raises:
        ValueError: a part's markers are not there, once each.
    """
    for name, make in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if (text.count(begin), text.count(end)) != (1, 1):
            raise ValueError(f"the markers {begin.strip()} and {end} must be there once each")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text


def _as_command(name: str, command: click.Command) -> str:
    context = click.Context(command)
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    first = (command.help or "").split("\n\n", 1)[0].replace("\n", " ")
    rows = [_as_option(option, context) for option in options(command)]
    table = "\n\n" + _table(("option", "what it does"), rows) if rows else ""
    return f"### `{' '.join([name, *arguments])}`\n\n{first}{table}"


def _as_option(option: click.Option, context: click.Context) -> tuple[str, str]:
    spelled = " / ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {option.metavar or _range_or_choice(option, context)}"
    default = f" Default: `{option.default}`." if option.show_default and not option.is_flag else ""
    return f"`{spelled}{value}`", f"{'Required. ' if option.required else ''}{option.help or ''}{default}"


def _range_or_choice(option: click.Option, context: click.Context) -> str:
    return "N" if isinstance(option.type, click.IntRange) else option.make_metavar(context)


def _meaning(error: type[DealcastError]) -> str:
    """The first sentence of the error's docstring, as a table's cell."""
    first = (error.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ").replace("``", "`").strip().removesuffix(".")
    return first[:1].lower() + first[1:]


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(re.sub(r"(?<!\\)\|", r"\|", str(cell)) for cell in line) + " |" for line in lines)


def write() -> list[str]:
    """Bring all files up to date; returns those that changed."""
    changed = []
    for name, parts in PARTS.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = with_parts(before, parts)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(name)
    return changed


def write_demo() -> list[str]:
    """Bring the demo's output in the README up to date; returns the README's name if that changed it."""
    path = ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    with TemporaryDirectory(prefix="dealcast-docs-") as folder:
        output = demo_output(Path(folder))
    block = f"```console\n{output.strip()}\n```"
    if without_ids(part_of(before, "demo")) == without_ids(block):
        return []
    path.write_text(with_parts(before, {"demo": lambda: block}), encoding="utf-8")
    return [path.name]


if __name__ == "__main__":
    changed = write() + (write_demo() if "--demo" in sys.argv else [])
    print("\n".join(changed) or "The documentation is up to date.")
