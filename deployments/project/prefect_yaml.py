"""A project's `prefect.yaml`: the shipped deployments that its `dealcast.toml` asks for, with its options and absolute paths."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any

import yaml

from deployments.project.config_file import NAME, Project
from flows.crm.guide.remembered import CHOICES, with_remembered
from flows.errors import LedgerDamaged, UsageError
from flows.ledger.export_baseline import load_baseline
from flows.ledger.store import Ledger
from flows.options import SyncOptions
from flows.settings import load_settings, variable_of

_OWN = ("export", "crm", "collection", "max_age")
"""Parameters that the shipped file has as examples: a project says them itself."""

_HOME = "/home/dealcast/.dealcast"
"""Home of the image that `deployments/Dockerfile` builds, a volume."""

_HEAD = f"""\
# Made of {NAME} by `dealcast init` and `dealcast deploy`, which write it anew: change that file, not this one.
# By hand, here: prefect --no-prompt deploy --all. The entrypoints name dealcast's flows, also beside a `flows/` of yours.
# Runs start in the root folder, so that no module of yours stands in for one of dealcast's: relative paths start from DEALCAST_FOLDER.
"""


def shipped() -> dict[str, dict[str, Any]]:
    """The shipped deployments, by name."""
    document = yaml.safe_load((files("deployments") / "prefect.yaml").read_text(encoding="utf-8"))
    return {each["name"]: each for each in document["deployments"]}


def written(project: Project) -> str:
    """The text of the project's `prefect.yaml`.

    Raises:
        UsageError: a collection with deployments lacks its export or dialect.
    """
    document = {
        "name": "dealcast",
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": os.sep}}],
        "deployments": [each for name in project.deployments for each in _deployments(project, name)],
    }
    return _HEAD + str(yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000))


def name_of(collection: str, deployment: str) -> str:
    """The name of a collection's deployment."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', collection)}-{deployment}"


def _deployments(project: Project, collection: str) -> Iterator[dict[str, Any]]:
    options = dict(project.options(collection))
    for name, cron in project.deployments[collection].items():
        missing = [key for key in ("export", "crm") if key not in options]
        if missing and name != "resume":
            raise UsageError(f"{project.path}, [collections.{collection}] has no {missing[0]}: the deployment {name} needs it.")
        made = copy.deepcopy(shipped()[name])
        parameters = made["parameters"]
        level = parameters.get("options", parameters)
        if "export" in level:
            its_own = {key: value for key, value in level.items() if key not in _OWN}
            level.clear()
            known = _remembered(options) if name == "on-demand" else {}
            level.update(json.loads(json.dumps({**known, **options, **its_own})))
        else:
            parameters["collection"] = collection
        made["name"] = name_of(collection, name)
        made["work_pool"] = {"name": project.deploy.pool, "job_variables": _job_variables(project)}
        made["schedules"] = [{"cron": cron, "timezone": project.deploy.timezone}] if cron else []
        yield made


def _remembered(options: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of the collection's last completed sync that ``options`` leave open, so that a form shows them; none before the first."""
    with suppress(UsageError, LedgerDamaged, OSError):
        ledger, said = Ledger(load_settings().ledger_url), SyncOptions.model_validate(options)
        found = with_remembered(said, load_baseline(ledger, ledger.find(said.collection)))
        return found.model_dump(mode="json", include=set(CHOICES), exclude_defaults=True)
    return {}


def _job_variables(project: Project) -> dict[str, Any]:
    """The environment of the runs, without any secret; of containers the image and, where the pool's type can say so, the volumes."""
    deploy, folder = project.deploy, str(project.path.parent)
    environment: Mapping[str, str] = {
        **{variable_of(name): value for name, value in project.settings.items()},
        "DEALCAST_FOLDER": folder,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PYTHONSAFEPATH": "1",
    }
    if deploy.type == "process":
        return {"env": environment}
    if deploy.image is None:
        raise UsageError(f"{project.path}, [deploy]: a {deploy.type} pool needs `image`, built from deployments/Dockerfile.")
    variables = {"env": {"DEALCAST_HOME": _HOME, **environment}, "image": deploy.image}
    if deploy.type == "docker":
        variables["volumes"] = [f"{folder}:{folder}", f"dealcast-home:{_HOME}"]
    return variables


class _Plain(yaml.SafeDumper):  # type: ignore[misc] # yaml ships no types
    """Written out: no anchors and aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Tell that nothing is to be an alias."""
        del data
        return True
