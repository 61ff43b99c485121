"""A folder of the user's own: `dealcast init` writes it, every command reads its `dealcast.toml`, and what holds can be shown."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from click.shell_completion import BashComplete

from deployments.cli import main
from deployments.project.config_file import read_project
from deployments.project.prefect_yaml import written
from deployments.sandbox import Sandbox
from flows.ledger.export_baseline import save_baseline
from flows.ledger.store import NAME as NAME_IN_LEDGER
from flows.ledger.store import Ledger
from flows.options import SyncOptions
from flows.settings import load_settings

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals

Write = Callable[[str], Path]


@pytest.fixture
def here(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001 - the home sets the environment
    """A working directory of the user's own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def write(here: Path) -> Write:
    def to(text: str) -> Path:
        path = here / "dealcast.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return to


def test_init_writes_what_a_user_owns_and_a_check_runs_on_it(
    dealcast: Dealcast, here: Path, write_deals: WriteDeals, sandbox: Sandbox
) -> None:
    export = write_deals(3, name="mine/deals.csv")
    done = dealcast("init", "acme", "--export", "deals.csv", "--timezone", "Europe/Rome", "--deploy", "incremental=0 6 * * *")
    folder = here / "acme"
    assert {path.name for path in folder.iterdir()} == {"dealcast.toml", "prefect.yaml", ".env.example", "README.md", "dialect.toml"}
    assert all(str(path) in done.stdout for path in folder.iterdir())
    project = read_project(folder / "dealcast.toml", named=True)
    assert project.settings["platform_url"] == sandbox.url
    assert dict(project.options("acme")) == {
        "collection": "acme",
        "export": str(export),
        "crm": "canonical",
        "timezone": "Europe/Rome",
        "max_age": "4d",
        "quarantine_limit": "0",
    }
    (made,) = yaml.safe_load((folder / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert (made["name"], made["schedules"]) == ("acme-incremental", [{"cron": "0 6 * * *", "timezone": "Europe/Rome"}])
    assert SyncOptions(**made["parameters"]["options"]).export == str(export)
    next_ones = [
        line.split("#")[0].split()[2:] for line in (folder / "README.md").read_text().splitlines() if line.startswith("$ dealcast")
    ]
    assert next_ones == [["check"], ["sync"], ["deploy"]]
    assert "3 deals can be sent" in dealcast("--config", folder / "dealcast.toml", "check").stdout
    assert "3 deals can be sent" in dealcast("check", "--config", folder / "dealcast.toml").stdout


def test_init_names_the_variables_that_a_shell_loads(dealcast: Dealcast, here: Path) -> None:
    dealcast("init", "my folder")
    lines = (here / "my folder/.env.example").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert shlex.split(variables["DEALCAST_CONFIG"]) == [str(here / "my folder/dealcast.toml")]
    assert variables["DEALCAST_TOKEN"] == "", "an example has no token"


def test_init_with_a_token_file_names_it_and_no_variable(dealcast: Dealcast, here: Path) -> None:
    dealcast("init", "acme", "--token-file", "secret")
    assert read_project(here / "acme/dealcast.toml", named=True).settings["token_file"] == str(here / "secret")
    assert "\nDEALCAST_TOKEN=" not in (here / "acme/.env.example").read_text()


def test_init_overwrites_nothing(dealcast: Dealcast, here: Path) -> None:
    (here / "README.md").write_text("mine")
    dealcast("init", ".")
    assert (here / "README.md").read_text() == "mine"
    assert "dealcast.toml, .env.example" in dealcast("init", ".", code=2).stderr


def test_init_writes_a_dialect_for_an_export_that_none_reads_and_says_so(dealcast: Dealcast, here: Path) -> None:
    (here / "deals.csv").write_text("Nummer;Betrag\n1;100\n")
    done = dealcast("init", ".", "--export", "deals.csv", "--collection", "acme", code=3)
    assert f"dealcast crms deals.csv --crm {here / 'dialect.toml'}" in done.stderr
    text = (here / "dealcast.toml").read_text()
    assert 'export = "deals.csv"' in text, "relative, as it lies in the folder"
    assert 'crm = "dialect.toml"' in text
    assert "Betrag" in (here / "dialect.toml").read_text()


def test_init_without_anything_to_go_by_writes_a_file_that_can_be_read(dealcast: Dealcast, here: Path) -> None:
    dealcast("init", "acme")
    project = read_project(here / "acme/dealcast.toml", named=True)
    assert project.options(None)["export"] == str(here / "acme/exports/*.csv")
    assert list(project.deployments["acme"]) == ["incremental", "resume"]


def test_a_deployment_that_is_none_is_named(dealcast: Dealcast, here: Path) -> None:
    assert "Known: incremental, weekly-resync" in dealcast("init", "acme", "--deploy", "hourly", code=2).stderr
    assert not (here / "acme").exists()


def test_what_the_command_line_says_wins_over_the_file(dealcast: Dealcast, write: Write, write_deals: WriteDeals) -> None:
    write_deals(3, name="mine/a.csv")
    write_deals(2, name="mine/b.csv")
    write('[collections.acme]\nexport = "a.csv"\ncrm = "canonical"\n')
    found = dealcast("check")
    assert "3 deals can be sent" in found.stdout
    assert "dealcast.toml is read." in found.stderr.splitlines()[0], "a file that nobody named is told first"
    assert "2 deals can be sent" in dealcast("check", "b.csv").stdout


def test_of_two_collections_the_one_that_is_named_is_taken(dealcast: Dealcast, write: Write, write_deals: WriteDeals) -> None:
    write_deals(3, name="mine/a.csv")
    write_deals(2, name="mine/b.csv")
    write('[collections.a]\nexport = "a.csv"\ncrm = "canonical"\n[collections.b]\nexport = "b.csv"\ncrm = "canonical"\n')
    assert "2 deals can be sent" in dealcast("check", "--collection", "b").stdout
    assert "3 deals can be sent" in dealcast("check", "--collection", "a").stdout
    for command in ("check", "sync", "resume"):
        assert "dealcast.toml has several collections. Name one: a, b." in dealcast(command, code=2).stderr
        wanted = "dealcast.toml has no collection c. Name one of: a, b."
        if command != "resume":
            assert wanted in dealcast(command, "--collection", "c", code=2).stderr


@pytest.mark.usefixtures("prefect_server")
def test_a_sync_needs_no_argument(dealcast: Dealcast, write: Write, write_deals: WriteDeals, collection: str) -> None:
    write_deals(2, name="mine/deals.csv")
    write(f'[collections.{collection}]\nexport = "deals.csv"\ncrm = "canonical"\nforecast = "never"\n')
    assert "2 deals sent" in dealcast("sync").stdout
    dealcast("collections", "verify", collection)
    assert dealcast("doctor").stdout.count(" ok ") >= 8, "and a doctor examines that collection and that export"


@pytest.mark.parametrize(
    "setting", ['platform_url = "http://127.0.0.1:9"', 'token_file = "x"', "allow_http = true", 'ledger = "memory://x"', 'home = "x"']
)
def test_a_file_that_only_lies_here_decides_neither_where_the_token_nor_where_the_deals_go(
    dealcast: Dealcast, write: Write, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    for name in ("PLATFORM_URL", "TOKEN", "HOME"):
        monkeypatch.delenv(f"DEALCAST_{name}")
    path = write(f"[settings]\n{setting}\n")
    refused = dealcast("config", "show", code=2).stderr
    assert f"--config {path.name}" in refused
    assert setting.split(" ", maxsplit=1)[0] in refused
    assert dealcast("--config", path, "config", "show").stdout.startswith(f"{path}: named")
    monkeypatch.setenv("DEALCAST_CONFIG", str(path))
    dealcast("config", "show")


@pytest.mark.parametrize("out", ["s3://bucket/out", "../elsewhere", "env:TARGET"])
def test_a_file_that_only_lies_here_sends_no_forecast_out_of_its_folder(dealcast: Dealcast, write: Write, out: str) -> None:
    path = write(f'[collections.a]\nexport = "a.csv"\ncrm = "canonical"\nout = "{out}"\n')
    assert "--config" in dealcast("sync", code=2).stderr
    assert read_project(path, named=True).checked_options("a")["out"]


def test_the_environment_wins_over_the_file(dealcast: Dealcast, write: Write, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('[settings]\nplatform_url = "http://127.0.0.1:9"\ntoken_file = "nowhere"\ndeadline = 5\npoll_delay = 7\n')
    monkeypatch.delenv("DEALCAST_POLL_DELAY")
    shown = json.loads(dealcast("--config", path, "config", "show", "--json").stdout)["settings"]
    assert shown["platform_url"] == {"value": sandbox.url, "source": "DEALCAST_PLATFORM_URL"}
    assert (shown["poll_delay"]["value"], shown["poll_delay"]["source"]) == ("7.0", "dealcast.toml")
    assert shown["deadline"]["source"] == "DEALCAST_DEADLINE"
    assert shown["token"] == {"value": "set", "source": "DEALCAST_TOKEN"}
    assert shown["token_file"]["value"] is None, "the token of the environment is the one"
    assert shown["send_retries"]["source"] == "default"
    assert sandbox.token not in dealcast("--config", path, "config", "show").stdout
    assert "DEALCAST_POLL_DELAY" not in os.environ, "the file speaks for one command"


def test_a_token_in_a_file_is_used_and_shown_nowhere(
    dealcast: Dealcast, write: Write, here: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEALCAST_TOKEN")
    (here / "secret").write_text(f"{sandbox.token}\n")
    path = write('[settings]\ntoken_file = "secret"\n')
    assert "No collections yet" in dealcast("--config", path, "collections", "list").stderr
    shown = dealcast("--config", path, "config", "show").stdout
    assert f"token_file = {here / 'secret'} (dealcast.toml)" in shown
    assert sandbox.token not in shown.replace(str(here), "")
    (here / "secret").unlink()
    assert "DEALCAST_TOKEN_FILE" in dealcast("--config", path, "collections", "list", code=2).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[settings\n", "is not valid TOML"),
        ('[settings]\ntoken = "s3cret"\n', "the token is no business"),
        ('[settings]\nledger = "sftp://me:s3cret@host/ledger"\n', "DEALCAST_LEDGER"),
        ('[settings]\nplatform = "x"\n', "Is platform_url meant?"),
        ('[settings]\ndeadline = "soon"\n', "[settings], deadline:"),
        ('[collections.acme]\nexprt = "x"\n', "Is export meant?"),
        ("[collections.acme]\nhorizon = 40\n", "[collections.acme], horizon:"),
        ('[collections.acme]\nexport = "https://crm.example/x?key=s3cret"\n', "env:NAME"),
        ('[collections.acme.deployments]\nhourly = ""\n', "Known: incremental"),
        ("[collections.acme.deployments]\nincremental = 5\n", 'NAME = "CRON"'),
        ('[deploy]\ntype = "cloud"\n', "deploy.type"),
        ('[colections.acme]\nexport = "x"\n', "colections"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_key(dealcast: Dealcast, write: Write, text: str, said: str) -> None:
    path = write(text)
    refused = dealcast("check", code=2).stderr
    assert str(path) in refused
    assert said in refused
    assert "s3cret" not in refused
    assert json.loads(dealcast("status", "--json", code=2).stdout)["exit_code"] == 2


def test_a_config_that_is_not_there_is_named(dealcast: Dealcast, here: Path) -> None:
    assert str(here / "none.toml") in dealcast("--config", "none.toml", "check", code=2).stderr


def test_the_dialects_are_listed_whatever_the_file_says(dealcast: Dealcast, write: Write) -> None:
    write('[collections.acme]\nexport = "a.csv"\ncrm = "canonical"\n')
    assert "hubspot" in dealcast("crms").stdout


def test_a_file_of_a_project_is_made_anew_with_absolute_paths(write: Write, here: Path) -> None:
    path = write(
        '[settings]\nhome = "state"\n'
        '[collections."New business"]\nexport = "exports/*.csv"\ncrm = "own.toml"\nout = "out"\ndefault = ["value=0"]\n'
        '[collections."New business".deployments]\nweekly-resync = "0 3 * * 0"\nresume = ""\n[deploy]\ntimezone = "Europe/Rome"\n'
    )
    document = yaml.safe_load(written(read_project(path, named=True)))
    weekly, resume = document["deployments"]
    assert weekly["name"] == "New-business-weekly-resync"
    options = SyncOptions(**weekly["parameters"]["options"])
    assert (options.export, options.crm, options.out) == tuple(str(here / name) for name in ("exports/*.csv", "own.toml", "out"))
    assert (options.mode, options.full, options.default) == ("override", True, ("value=0",))
    assert resume["parameters"] == {"collection": "New business"}
    variables = weekly["work_pool"]["job_variables"]["env"]
    assert variables["DEALCAST_FOLDER"] == str(here)
    assert variables["DEALCAST_HOME"] == str(here / "state")
    assert document["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": "/"}}]


def test_the_form_of_a_sync_by_hand_begins_with_what_the_last_one_was_told(write: Write, write_deals: WriteDeals) -> None:
    """The choices of a sync on the command line, except where the file says otherwise; by the clock nothing is filled in."""
    collection = "c1"
    ledger = Ledger(load_settings().ledger_url)
    ledger.put_line(collection, NAME_IN_LEDGER, "acme")
    told = {"date_order": "day-first", "crm_timezone": "Europe/Oslo", "default": "value=0"}
    save_baseline(ledger, collection, {"reading": {"dialect": "canonical"}, "said": told})
    path = write(
        f'[collections.acme]\nexport = "{write_deals()}"\ncrm = "canonical"\ncrm_timezone = "UTC"\n'
        '[collections.acme.deployments]\non-demand = ""\nincremental = "0 * * * *"\n'
    )
    by_hand, by_clock = (each["parameters"] for each in yaml.safe_load(written(read_project(path, named=True)))["deployments"])
    assert (by_hand["date_order"], by_hand["crm_timezone"], by_hand["default"]) == ("day-first", "UTC", ["value=0"])
    assert "date_order" not in by_clock["options"]


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_containers_get_image_and_home(dealcast: Dealcast, write: Write, here: Path, kind: str) -> None:
    collection = '[collections.a]\nexport = "a.csv"\ncrm = "canonical"\n[collections.a.deployments]\nincremental = ""\n'
    path = write(f'{collection}[deploy]\ntype = "{kind}"\n')
    assert "image" in dealcast("--config", path, "deploy", code=2).stderr
    path = write(f'{collection}[deploy]\ntype = "{kind}"\nimage = "dealcast:1"\n')
    (made,) = yaml.safe_load(written(read_project(path, named=True)))["deployments"]
    variables: dict[str, Any] = made["work_pool"]["job_variables"]
    assert variables["image"] == "dealcast:1"
    assert variables["env"]["DEALCAST_HOME"] == "/home/dealcast/.dealcast"
    assert variables.get("volumes") == ([f"{here}:{here}", "dealcast-home:/home/dealcast/.dealcast"] if kind == "docker" else None)


def test_relative_paths_of_a_run_start_from_its_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker starts a run anywhere; the form in Prefect's UI may say `exports/*.csv` all the same."""
    monkeypatch.setenv("DEALCAST_FOLDER", str(here))
    options = load_settings().from_folder(SyncOptions(export="exports/*.csv", crm="own.toml", collection="a", out="out"))
    assert (options.export, options.crm, options.out) == tuple(str(here / name) for name in ("exports/*.csv", "own.toml", "out"))
    for same in ("s3://bucket/x.csv", "/exports/x.csv", "env:EXPORT", "zip://*.csv::s3://bucket/x.zip"):
        kept = load_settings().from_folder(SyncOptions(export=same, crm="hubspot", collection="a"))
        assert (kept.export, kept.crm, kept.out) == (same, "hubspot", None)
    assert load_settings().path_of("pipelines.csv") == str(here / "pipelines.csv")


def test_completion_knows_the_collections_of_file_and_ledger(write: Write, home: Path) -> None:
    write('[collections.acme]\npipeline = "Renewals"\n[collections.globex]\n')
    Ledger(str(home / "ledger")).put("a1", NAME_IN_LEDGER, b"archive")
    complete = BashComplete(main, {}, "dealcast", "_DEALCAST_COMPLETE")
    assert [item.value for item in complete.get_completions(["sync", "--collection"], "a")] == ["acme", "archive"]
    assert [item.value for item in complete.get_completions(["status"], "g")] == ["globex"]
    assert [item.value for item in complete.get_completions(["sync", "--pipeline"], "")] == ["Renewals"]


COMPLETED = {
    "FILE": "file",
    "TABLE": "file",
    "EXPORT": "file",
    "COLLECTION": "acme",
    "--collection": "acme",
    "--crm": "hubspot",
    "DIR": "dir",
}
"""What is said in a command's help -> what the shell is offered for it: a name, or files or folders."""


def parameters(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    """Each parameter that `--help` shows, with the words of its command."""
    yield from ((path, each) for each in command.params if not getattr(each, "hidden", False))
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from parameters(inner, (*path, name))


def test_completion_knows_each_file_collection_and_dialect(write: Write) -> None:
    write("[collections.acme]\n")
    context, seen = click.Context(main), set()
    for path, each in parameters(main):
        said = each.opts[0] if each.opts[0] in COMPLETED else str(each.metavar).strip("[]")
        if said in COMPLETED and not (path == ("demo",) and said == "DIR"):
            offered = each.shell_complete(context, "")
            assert COMPLETED[said] in {item.value for item in offered} | {item.type for item in offered}, (*path, each.opts)
            seen.add(said)
    assert seen == set(COMPLETED)


@pytest.mark.usefixtures("here")
def test_deploy_says_what_it_lacks(dealcast: Dealcast, write: Write) -> None:
    assert "dealcast init DIR" in dealcast("deploy", code=2).stderr
    write('[collections.acme]\nexport = "a.csv"\ncrm = "canonical"\n')
    assert "[collections.NAME.deployments]" in dealcast("deploy", code=2).stderr


def test_deploy_sends_no_token_where_a_file_that_only_lies_here_says(dealcast: Dealcast, write: Write) -> None:
    """The environment says otherwise for this command; the worker would have what the file says."""
    collection = '[collections.a]\nexport = "a.csv"\ncrm = "canonical"\n[collections.a.deployments]\nincremental = ""\n'
    write(f'{collection}[settings]\nplatform_url = "http://127.0.0.1:9"\n')
    assert "platform_url" in dealcast("deploy", code=2).stderr
