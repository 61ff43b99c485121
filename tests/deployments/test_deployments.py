"""The shipped deployments on a real server: accepted as they are, run by their schedule, readable afterwards."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema

from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.sync_deals import sync_on_demand
from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.deployments.conftest import Stage

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "deployments/commands/demo/hubspot-crm-exports-all-deals-2026-11-02.csv"


def declared() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((ROOT / "deployments/prefect.yaml").read_text(encoding="utf-8"))
    return {deployment["name"]: deployment for deployment in document["deployments"]}


def test_each_deployment_has_a_version_tags_a_pool_and_but_for_one_of_many_runs_one_at_a_time() -> None:
    for name, deployment in declared().items():
        assert deployment["version"] == version("dealcast"), name
        assert "dealcast" in deployment["tags"], name
        assert deployment["work_pool"]["name"] == "dealcast", name
        if name != "one-of-many":
            assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}, name
        assert re.fullmatch(r"dealcast_flows\.\w+", deployment["entrypoint"]), "`flows` may be a package of the user's project"


def test_each_deployment_that_reads_an_export_stops_at_an_old_one() -> None:
    for name, deployment in declared().items():
        options = deployment["parameters"].get("options", deployment["parameters"])
        if "export" in options:
            assert SyncOptions(**options).max_age, name


def test_the_weekly_one_makes_the_collection_equal_the_export() -> None:
    options = SyncOptions(**declared()["weekly-resync"]["parameters"]["options"])
    assert (options.mode, options.full) == ("override", True), "whatever other hands changed"
    assert {options.accept_shrink, options.accept_change, options.accept_reading_change} == {False}, "guarded"


@pytest.mark.parametrize("name", ["incremental", "weekly-resync", "nightly-pipelines", "nightly-collections"])
def test_scheduled_deployments_say_in_which_zone_their_clock_is(name: str) -> None:
    (schedule,) = declared()[name]["schedules"]
    assert schedule["cron"]
    assert schedule["timezone"]


@pytest.mark.slow
def test_the_server_takes_the_file_as_it_is_and_again_without_a_trace(deployed: Stage) -> None:
    before = {found["name"]: found["id"] for found in deployed.ask("deployments/filter", {})}
    assert set(before) == set(declared())
    deployed.prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
    assert {found["name"]: found["id"] for found in deployed.ask("deployments/filter", {})} == before
    schema = deployed.deployment("sync-deals/on-demand")["parameter_openapi_schema"]
    assert set(schema["properties"]) == set(SyncOptions.model_fields)


def test_the_form_in_the_ui_explains_every_option() -> None:
    """The parameters' schema is what the form is made from: each option with its type, its default and a sentence."""
    assert declared()["on-demand"]["entrypoint"] == "dealcast_flows.sync_on_demand"
    schema = parameter_schema(sync_on_demand).model_dump_for_openapi()
    shown = schema["properties"]
    assert set(shown) == set(SyncOptions.model_fields)
    assert all(option.get("description") for option in shown.values())
    assert shown["mode"]["enum"] == ["append", "override"]
    assert {"hubspot", "salesforce", "canonical"} <= set(shown["crm"]["anyOf"][0]["enum"]), "a list to choose from, or a path of one's own"
    assert schema["required"] == ["export", "crm", "collection"]
    assert schema["properties"]["accept_shrink"]["default"] is False


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_scheduled_run_completes_and_leaves_artifacts(stage: Stage) -> None:
    with Nostradamus(stage.sandbox.url, stage.sandbox.token) as platform:
        collection = platform.create_collection("acme-newbusiness", "Europe/Rome").id
    deployment = stage.deployment("sync-deals/incremental")
    options = {
        **deployment["parameters"]["options"],
        "export": str(EXPORT),
        "crm_timezone": "Europe/Rome",
        "collection": collection,
        "first_month": "2026-11",
        "max_age": None,
    }
    clock = {"active": True, "schedule": {"interval": 10, "anchor_date": datetime.now(UTC).isoformat(), "timezone": "Europe/Rome"}}
    stage.change(f"deployments/{deployment['id']}", {"parameters": {"options": options}, "schedules": [clock]})
    run = wait_for(lambda: _first_ended(stage, deployment["id"]), "a run of the schedule to end")
    stage.change(f"deployments/{deployment['id']}", {"schedules": []})

    assert (run["state_type"], run["auto_scheduled"]) == ("COMPLETED", True), run["state"]["message"]
    assert re.fullmatch(r"acme-newbusiness \d{4}-\d\d-\d\d · 480 sent(, export .*)? · [0-9,]+ in 6 months( \(.*\))?", run["name"])
    assert run["state"]["message"].startswith("480 deals sent, 0 quarantined, forecast of 6 months: ")
    assert {"dealcast", "incremental"} <= set(run["tags"])
    shown = stage.artifacts(run["id"])
    assert set(shown) == {"report", "progress", "forecast", "certificate"}
    assert "480 rows: 480 deals" in shown["report"]["data"]
    assert shown["progress"]["data"] == 100
    assert '"rows_sent": 480' in shown["certificate"]["data"]
    chart = re.search(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", shown["forecast"]["data"])
    assert chart is not None
    assert {b">won<", b">forecast<"} <= set(re.findall(rb">[a-z]+<", base64.b64decode(chart[1]))), "months won and months ahead"


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_cancelled_run_is_named_and_says_how_to_resume(stage: Stage) -> None:
    """It is started as by `prefect deployment run -p`, and cancelled as by the UI's button, while the platform is at work."""
    with Nostradamus(stage.sandbox.url, stage.sandbox.token) as platform:
        collection = platform.create_collection("acme-cancelled", "Europe/Rome").id
    before = stage.sandbox.control("GET", "speed")
    stage.sandbox.control("PUT", "speed", {"queued_seconds": 0.1, "processing_seconds": 600})
    try:
        found = stage.deployment("sync-deals/on-demand")
        said = {"export": str(EXPORT), "crm_timezone": "Europe/Rome", "collection": "acme-cancelled", "max_age": None}
        run = stage.ask(f"deployments/{found['id']}/create_flow_run", {"parameters": {**found["parameters"], **said}})
        wait_for(lambda: "waiting: " in stage.ask(f"flow_runs/{run['id']}")["name"], "the run to wait for the platform")
        stage.ask(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
        ended = stage.ended(run["id"])
    finally:
        stage.sandbox.control("PUT", "speed", before)
    assert ended["state_type"] == "CANCELLED"
    assert ended["name"].startswith("acme-cancelled ")
    assert ended["name"].endswith(" · cancelled")
    assert f"resume with `dealcast resume --collection {collection}`" in ended["state"]["message"]
    assert "outcome:cancelled" in ended["tags"]


def _first_ended(stage: Stage, deployment_id: str) -> dict[str, Any] | None:
    """The first run that ended; one whose time comes while another is at work is cancelled before it begins."""
    chosen = {"deployment_id": {"any_": [deployment_id]}, "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
    runs: list[dict[str, Any]] = stage.ask("flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC", "flow_runs": chosen})
    return runs[0] if runs else None


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_in_particular() -> None:
    """No engine builds it here: its text is held to what it promises, and every file that it copies exists."""
    text = (ROOT / "deployments/Dockerfile").read_text(encoding="utf-8")
    last = text.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER (?!root)\w+", last, re.MULTILINE)
    assert last.index("USER ") < last.index("CMD ")
    assert "--require-hashes -r requirements.lock" in text
    assert "TOKEN=" not in text
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
