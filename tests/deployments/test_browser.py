"""The Prefect UI in a real browser: the run page says what happened without a look at the logs.

The screenshots go to the folder named by DEALCAST_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page

from flows.nostradamus import Nostradamus
from tests.chromium import open_page
from tests.conftest import HANG, wait_for

if TYPE_CHECKING:
    from tests.deployments.conftest import Stage

EXPORT = Path(__file__).resolve().parents[2] / "deployments/commands/demo/hubspot-crm-exports-all-deals-2026-11-02.csv"

Sync = Callable[..., str]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with open_page(viewport={"width": 1400, "height": 1000}) as page:
        yield page


@pytest.fixture(scope="module")
def sync(stage: Stage) -> Sync:
    """Sync an export to a collection of the given name with the real command line; returns the run's id."""
    ids: dict[str, str] = {}

    def run(name: str, export: Path = EXPORT) -> str:
        if name not in ids:
            with Nostradamus(stage.sandbox.url, stage.sandbox.token) as platform:
                ids[name] = platform.create_collection(name, "Europe/Rome").id
        stage.dealcast(
            "sync", str(export), "--crm", "hubspot", "--crm-timezone", "Europe/Rome", "--first-month", "2026-11", "--collection", ids[name]
        )
        return _newest(stage, name)

    return run


def test_a_good_run_shows_its_tasks_its_message_and_the_chart(stage: Stage, sync: Sync, page: Page) -> None:
    run = sync("good")
    _open(page, stage, run, "good")
    page.get_by_text("Details", exact=True).click()
    page.get_by_text("480 deals sent, 0 quarantined, forecast of 6 months: ").first.wait_for()
    page.get_by_text("Task Runs", exact=True).first.click()
    for task in ("extract_deals", "check_deals", "submit_append", "await_append", "invoke_forecast", "download_forecast"):
        page.get_by_text(task, exact=True).first.wait_for()
    page.get_by_text("Artifacts", exact=True).last.click()
    page.get_by_text("forecast-good").first.wait_for()
    _shoot(page, "good-artifacts")

    page.goto(f"{stage.url}/artifacts/artifact/{stage.artifacts(run)['forecast']['id']}")
    chart = page.get_by_role("img", name="Revenue by month")
    chart.wait_for()
    assert chart.evaluate("image => image.complete && image.naturalWidth") > 800, "the picture is drawn, not merely referred to"
    _shoot(page, "good-forecast")


@pytest.mark.slow
def test_a_refused_file_says_which_columns_and_that_no_forecast_ran(stage: Stage, sync: Sync, page: Page) -> None:
    stage.sandbox.control("POST", "faults", {"kind": "spoil", "method": "POST", "path": "*/append"})
    run = sync("refused")
    _open(page, stage, run, "refused")
    page.get_by_text("refused: 1 column").first.wait_for()
    page.get_by_text("Details", exact=True).click()
    page.get_by_text("Forecast not invoked").first.wait_for()
    _report(page, stage, run, "refused")
    page.get_by_text("Forecast not invoked").first.wait_for()
    page.get_by_text("column status").first.wait_for()
    _shoot(page, "refused-report")


@pytest.mark.slow
def test_a_blocked_guard_says_by_which_numbers(stage: Stage, sync: Sync, page: Page, tmp_path: Path) -> None:
    sync("blocked")
    small = tmp_path / "small.csv"
    with EXPORT.open(newline="", encoding="utf-8") as source, small.open("w", newline="", encoding="utf-8") as sink:
        csv.writer(sink).writerows(list(csv.reader(source))[:40])
    run = sync("blocked", small)
    _open(page, stage, run, "blocked")
    page.get_by_text("blocked by guard").first.wait_for()
    _report(page, stage, run, "blocked")
    page.get_by_text("deals fell from 480 to").first.wait_for()
    _shoot(page, "blocked-report")


@pytest.mark.slow
def test_a_waiting_run_says_what_it_waits_for(stage: Stage, page: Page) -> None:
    """Its name in the list has the platform's word."""
    with Nostradamus(stage.sandbox.url, stage.sandbox.token) as platform:
        collection = platform.create_collection("waiting", "Europe/Rome").id
    before = stage.sandbox.control("GET", "speed")
    stage.sandbox.control("PUT", "speed", {"queued_seconds": 0.1, "processing_seconds": 600})
    command = [
        "dealcast",
        "sync",
        str(EXPORT),
        "--crm",
        "hubspot",
        "--collection",
        collection,
        "--crm-timezone",
        "Europe/Rome",
        "--first-month",
        "2026-11",
    ]
    environment = {**stage.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        try:
            name = wait_for(lambda: _waiting(stage), "a run to wait")
            page.goto(f"{stage.url}/runs")
            page.get_by_text("waiting: in_progress").first.wait_for()
            _shoot(page, "waiting-list")
            assert name.startswith("waiting 2")
        finally:
            stage.sandbox.control("PUT", "speed", before)
            child.wait(HANG)


def _newest(stage: Stage, name: str) -> str:
    return str(_named(stage, f"{name} 2")[0]["id"])


def _waiting(stage: Stage) -> str | None:
    return next((str(run["name"]) for run in _named(stage, "waiting: in_progress")), None)


def _named(stage: Stage, words: str) -> list[dict[str, Any]]:
    """The runs with these words in their name, newest first."""
    found: list[dict[str, Any]] = stage.ask("flow_runs/filter", {"sort": "START_TIME_DESC", "flow_runs": {"name": {"like_": words}}})
    return found


def _open(page: Page, stage: Stage, run: str, name: str) -> None:
    page.goto(f"{stage.url}/runs/flow-run/{run}")
    page.locator("canvas").first.wait_for()  # the task graph
    page.get_by_text("Details", exact=True).wait_for()
    _shoot(page, name)


def _report(page: Page, stage: Stage, run: str, name: str) -> None:
    report = stage.artifacts(run)["report"]
    assert name in report["key"]
    page.goto(f"{stage.url}/artifacts/artifact/{report['id']}")


def _shoot(page: Page, name: str) -> None:
    folder = os.environ.get("DEALCAST_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(1500)  # what moves in the page comes to rest: for who looks, no test hangs on it
        page.screenshot(path=Path(folder) / f"{name}.png")
