"""Findings of ``dealcast doctor`` on deployments that are not what is installed here, or not where it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.commands.doctor.findings import Finding
from deployments.project.prefect_yaml import shipped
from flows.errors import UsageError

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

_AGAIN = "Run `dealcast deploy` again, where its dealcast.toml lies."


def stale_deployments(deployments: Sequence[DeploymentResponse], *, local: bool) -> Iterator[Finding]:
    """Name the deployments of another version, without a flow, without their folder, or with schedules that are switched off.

    Args:
        deployments: those of dealcast on the server.
        local: the server is on this machine, and so most likely its workers are: the folders of runs can be looked at.
    """
    yield from _switched_off(deployments)
    known = _entrypoints()
    if lost := _names(each for each in deployments if each.entrypoint and each.entrypoint not in known):
        yield Finding("flow", "failed", f"the flow of {lost} is not in this version of dealcast.", _AGAIN, UsageError.exit_code)
    installed = version("dealcast")
    if other := _names(each for each in deployments if each.version and each.version.partition("+")[0] != installed and _ours(each)):
        yield Finding("version", "warning", f"{other}: deployed by another version than {installed}, which is installed here.", _AGAIN)
    if not local:
        return
    for each in deployments:
        folder = each.job_variables.get("env", {}).get("DEALCAST_FOLDER")
        if folder and "image" not in each.job_variables and not Path(folder).is_dir():
            what = f"{each.name}: its relative paths start from {folder}, which is not there."
            yield Finding("folder", "failed", what, _AGAIN, UsageError.exit_code)


def _switched_off(deployments: Sequence[DeploymentResponse]) -> Iterator[Finding]:
    off = (each for each in deployments if not each.paused and each.schedules and not any(clock.active for clock in each.schedules))
    if names := _names(off):
        yield Finding(
            "schedule", "warning", f"switched off: {names}.", "Switch it on in the UI, or run `dealcast deploy` again, which does."
        )


def _names(deployments: Iterator[DeploymentResponse]) -> str:
    return ", ".join(sorted(each.name for each in deployments))


def _ours(deployment: DeploymentResponse) -> bool:
    """Tell whether it was made from a shipped one, whose version is dealcast's; one of a user's own has a version of its own."""
    return any(deployment.name == name or deployment.name.endswith(f"-{name}") for name in shipped())


def _entrypoints() -> set[str]:
    """Those of today, and those that earlier versions wrote and that still lead to a flow."""
    flows = import_module("dealcast_flows").FLOWS.items()  # no type checker knows where it is installed
    return {entrypoint for name, module in flows for entrypoint in (f"dealcast_flows.{name}", f"{module}.{name}", f"{module}:{name}")}
