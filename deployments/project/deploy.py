"""``dealcast deploy``: work pool, deployments and automations of a project, on the Prefect server of the user's settings."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import click
import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from deployments.commands.automations import install
from deployments.commands.doctor.prefect_findings import require_server
from deployments.project.config_file import NAME, Project
from deployments.project.prefect_yaml import name_of, written
from flows.errors import DealcastError, UsageError
from flows.options import shown_url
from flows.runtime.atomic_files import write_whole
from flows.settings import variable_of

_PATIENCE = 120
"""Seconds for a server to answer that does not listen yet."""

PACKAGES = {"docker": "prefect-docker", "kubernetes": "prefect-kubernetes"}
"""The package that a worker of such a pool needs beside dealcast."""


def deploy_project(project: Project | None, block: str | None, webhook: str | None) -> None:
    """Make the pool where it is missing, the deployments, and the automations; print them, and the worker's command.

    Raises:
        UsageError: there is no `dealcast.toml`, it asks for no deployment, or Prefect's settings name no server that answers.
        DealcastError: Prefect refused a deployment; the message has its reason.
    """
    if project is None:
        raise UsageError(f"There is no {NAME} here. `dealcast init DIR` writes one; `dealcast --config FILE deploy` names one elsewhere.")
    names = [name_of(collection, each) for collection, wanted in project.deployments.items() for each in wanted]
    if not names:
        raise UsageError(f"{project.path} asks for no deployment: write one under [collections.NAME.deployments].")
    for name, value in project.settings.items():
        project.check_destination(name)
        if os.environ.get(variable_of(name), value) != value:
            click.echo(f"dealcast: {variable_of(name)} of this shell is not deployed: {NAME} says {shown_url(value)}.", err=True)
    place = project.path.with_name("prefect.yaml")
    text = written(project)
    if not get_current_settings().api.url:
        raise UsageError(
            "Prefect's settings name no server, and deployments need one that stays. Start one with `prefect server start`, and name it: "
            "`prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`."
        )
    _await_server()
    write_whole(place, [text.encode()])
    _make_pool(project)
    _prefect("deploy", "--all", "--prefect-file", str(place))
    for name in names:
        click.echo(f"deployed  {name}")
    for name in install(block, webhook):
        click.echo(f"installed {name}")
    _say_next(project)


def _await_server() -> None:
    """See that the server answers; one that was started a moment ago is waited for. Raises UsageError as :func:`require_server`."""
    end = time.monotonic() + _PATIENCE
    said = False
    while True:
        try:
            return require_server()
        except UsageError as error:
            if not isinstance(error.__cause__, httpx.ConnectError) or time.monotonic() > end:
                raise
        if not said:
            click.echo(f"waiting up to {_PATIENCE} s for the Prefect server at {get_current_settings().api.url}", err=True)
            said = True
        time.sleep(0.5)


def _make_pool(project: Project) -> None:
    pool, kind = project.deploy.pool, project.deploy.type
    with get_client(sync_client=True) as client:
        try:
            found = client.read_work_pool(pool).type
        except ObjectNotFound:
            found = None
    if found is None:
        _prefect("work-pool", "create", pool, "--type", kind)
    elif found != kind:
        raise UsageError(f"The work pool {pool} is of type {found}, and {project.path} says {kind}. Change [deploy] there: pool, or type.")
    click.echo(f"work pool {pool}, of type {kind}")


def _prefect(*command: str) -> None:
    """Run a command of Prefect's, from the root folder: it puts its working directory before the installed packages.

    Raises:
        DealcastError: it failed; the message ends with its last line.
    """
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-P", "-m", "prefect", "--no-prompt", *command], cwd=os.sep, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise DealcastError(f"`prefect {' '.join(command)}` failed: {said[-1] if said else 'it said nothing'}")


def _say_next(project: Project) -> None:
    pool, kind = project.deploy.pool, project.deploy.type
    if kind == "kubernetes":
        click.echo(f"Mount {project.path.parent} and DEALCAST_HOME into the pool's pods, and set `ledger` to a bucket: pods forget.")
    if kind in PACKAGES:
        click.echo(f"Its worker needs {PACKAGES[kind]}: pip install {PACKAGES[kind]}")
    click.echo(f"Next, where DEALCAST_TOKEN is set: prefect worker start --pool {pool} --type {kind}")
