"""``dealcast config show``: what holds, and from where; of the token only whether there is one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import click

from deployments.project.config_file import CONFIG, Project
from flows.options import shown_url
from flows.settings import Settings, load_settings, variable_of

_TOKEN = "token"  # noqa: S105 - the setting's name


def show(project: Project | None, *, as_json: bool) -> None:
    """Print it as lines ``name = value (source)``, or as one object."""
    settings = list(_settings(project))
    collections = {name: _json_ready(project.options(name)) for name in project.collections} if project else {}
    deployments = {name: dict(each) for name, each in project.deployments.items() if each} if project else {}
    path = str(project.path) if project else None
    if as_json:
        shown = {name: {"value": value, "source": source} for name, value, source in settings}
        click.echo(json.dumps({"config": path, "settings": shown, "collections": collections, "deployments": deployments}))
        return
    click.echo(f"{path or 'no dealcast.toml'}: {_how(project)}")
    for name, value, source in settings:
        click.echo(f"  {name} = {value} ({source})")
    for name, options in collections.items():
        click.echo(f"collection {name}, all of it from {path}:")
        for key, value in options.items():
            click.echo(f"  {key} = {value}")
        for deployment, cron in deployments.get(name, {}).items():
            click.echo(f"  deployment {deployment}: {cron or 'by hand'}")


def _how(project: Project | None) -> str:
    if project is None:
        return f"neither --config nor {CONFIG} names one, and none lies here. `dealcast init DIR` writes one."
    return "named" if project.named else "found in the working directory: it decides neither where the token nor where the deals go"


def _settings(project: Project | None) -> Iterator[tuple[str, Any, str]]:
    """Name, value and source of each setting."""
    values = load_settings()
    for name in Settings.model_fields:
        value = getattr(values, name)
        if project and name in project.settings and os.environ.get(variable_of(name)) == project.settings[name]:
            source = project.path.name
        else:
            source = variable_of(name) if variable_of(name) in os.environ else "default"
        if name == _TOKEN:
            value = "set" if value.get_secret_value() else "not set"
        elif name == "config":
            continue
        yield name, None if value is None else shown_url(str(value)), source


def _json_ready(options: Mapping[str, Any]) -> dict[str, Any]:
    ready: dict[str, Any] = json.loads(json.dumps(dict(options)))
    return ready
