"""A new user follows the README: its commands, as printed, in a fresh folder, beside packages of a project's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.sandbox import Sandbox
from tests import make_demo_export
from tests.conftest import HANG, PATIENT_START, free_port, wait_for
from tests.make_docs import ROOT, demo_output, part_of, without_ids
from tests.prefect_database import home_with_database

README = (ROOT / "README.md").read_text(encoding="utf-8")

ELSEWHERE = {"make demo", "make test"}
"""The first is compared below, the second is what runs this."""

MOST_COMMANDS = 15

OF_PREFECT = re.compile(r"PREFECT_|prefect |dealcast deploy")
"""What needs a server that stays: `test_its_commands_lead_to_a_scheduled_run`."""

END = """
printf %s "$PREFECT_API_AUTH_STRING" > secret.part && mv secret.part secret
until [ -e done ]; do sleep 0.1; done
"""
"""Between the worker's start and the last command: the scheduled run, which the test waits for."""


def printed(text: str) -> list[str]:
    """The commands of a page, without their comments."""
    return [re.split(r"\s+#", line)[0] for line in re.findall(r"^\$ (.+)$", text, re.MULTILINE)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: an export of today, a home with an empty Prefect database, and packages that are named as those of dealcast."""
    today = datetime.now(UTC).replace(tzinfo=None)
    monkeypatch.setattr(make_demo_export, "EXPORTED", today)
    monkeypatch.setattr(make_demo_export, "FIRST_DAY", today - timedelta(days=760))
    (tmp_path / "deals.csv").write_text(make_demo_export.as_csv(make_demo_export.demo_rows(480)), encoding="utf-8")
    home_with_database(tmp_path / "home" / ".prefect")
    for name in ("flows", "expectations", "deployments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('this is a project of its own')")
    return tmp_path


def checkout(folder: Path) -> None:
    """The environment that `make setup` makes."""
    (folder / ".venv").symlink_to(sys.prefix)


def wheel(folder: Path) -> None:
    """A fresh environment with dealcast from its wheel; what it depends on is shared, as there may be no network."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built, python = folder / "built", folder / ".venv/bin/python"
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    (found,) = built.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(found)], check=True)
    (site,) = (folder / ".venv/lib").glob("python*/site-packages")
    (site / "shared.pth").write_text(str(Path(httpx.__file__).parents[1]))
    script = folder / ".venv/bin/prefect"
    script.write_text(f"#!{python}\nfrom prefect.cli import app\napp()\n")
    script.chmod(0o755)


def test_its_commands_work_as_printed(folder: Path, sandbox: Sandbox) -> None:
    checkout(folder)
    commands = [command for command in printed(README) if command not in ELSEWHERE and not OF_PREFECT.search(command)]
    with _running(commands, sandbox, folder, {}) as child:
        assert child.wait() == 0, _said(folder)
    _assert_synced(folder)


@pytest.mark.slow
@pytest.mark.parametrize("install", [checkout, wheel])
def test_its_commands_lead_to_a_scheduled_run(folder: Path, sandbox: Sandbox, install: Callable[[Path], None]) -> None:
    install(folder)
    commands = [command for command in printed(README) if command not in ELSEWHERE]
    assert len(commands) + 1 <= MOST_COMMANDS, "with the demo"
    port = free_port()
    real = {
        "127.0.0.1:4200": f"127.0.0.1:{port}",
        "server start": f"server start --port {port}",
        "dealcast deploy": "dealcast deploy\nprefect --no-prompt deploy --all",  # the same by hand, beside packages of the same names
        "> worker.log 2>&1 &": "> worker.log 2>&1 &\n" + END,
    }
    with _running(commands, sandbox, folder, real) as child:
        run = _scheduled(folder, port, child)
        (folder / "done").touch()
        assert child.wait() == 0, _said(folder)
    assert (run["state_type"], run["auto_scheduled"]) == ("COMPLETED", True), run["state"]["message"]
    assert "Nothing new since" in run["state"]["message"], "the scheduled run has the ledger of the command"
    _assert_synced(folder)
    assert "deployed  acme-incremental" in (folder / "stdout").read_text(encoding="utf-8")


def _assert_synced(folder: Path) -> None:
    assert "480 deals sent, 0 quarantined, forecast of 6 months" in (folder / "stdout").read_text(encoding="utf-8")
    assert 'export = "deals.csv"' in (folder / "dealcast.toml").read_text(encoding="utf-8"), "a relative export"


@contextmanager
def _running(commands: list[str], sandbox: Sandbox, folder: Path, real: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that was given the commands, with ``real`` addresses in place of the shown ones; it ends with all that it began."""
    script = "\n".join(["set -eux", *commands])
    for shown, meant in {"http://127.0.0.1:8765": sandbox.url, "DEALCAST_TOKEN=sandbox": f"DEALCAST_TOKEN={sandbox.token}", **real}.items():
        assert script.count(shown) == 1, shown
        script = script.replace(shown, meant)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_", "VIRTUAL_ENV"))}
    environment |= {"HOME": str(folder / "home"), "PATH": "/usr/bin:/bin", "PREFECT_WORKER_QUERY_SECONDS": "1", **PATIENT_START}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        child = subprocess.Popen(["bash", "-c", script], cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True)
        try:
            yield child
        finally:
            for each in (signal.SIGTERM, signal.SIGKILL):  # a worker whose server ends with it does not heed the first
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, each)
                child.wait()


def _said(folder: Path) -> str:
    return "".join(
        (folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr", "server.log", "worker.log") if (folder / name).exists()
    )


def _scheduled(folder: Path, port: int, child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The first run of the schedule, which is brought forward: the README's is of working hours."""
    while not (folder / "secret").exists() and child.poll() is None:  # all commands before: pytest's own end is the only one
        time.sleep(0.1)
    assert child.poll() is None, _said(folder)
    user, _, password = (folder / "secret").read_text().partition(":")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", auth=(user, password), trust_env=False, timeout=HANG) as api:
        deployment = api.get("/deployments/name/sync-deals/acme-incremental").raise_for_status().json()
        clock = {"active": True, "schedule": {"interval": 15, "anchor_date": datetime.now(UTC).isoformat(), "timezone": "Europe/Rome"}}
        api.patch(f"/deployments/{deployment['id']}", json={"schedules": [clock]}).raise_for_status()
        ended = {
            "sort": "EXPECTED_START_TIME_ASC",
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}, "deployment_id": {"any_": [deployment["id"]]}},
        }
        runs = wait_for(lambda: api.post("/flow_runs/filter", json=ended).raise_for_status().json(), "a run of the schedule to end")
        api.patch(f"/deployments/{deployment['id']}", json={"schedules": []}).raise_for_status()
        return dict(runs[0])


def test_it_shows_what_the_demo_prints(tmp_path: Path) -> None:
    fenced = part_of(README, "demo").strip().removeprefix("```console").removesuffix("```")
    assert without_ids(fenced) == without_ids(demo_output(tmp_path)), "run `make docs`"
