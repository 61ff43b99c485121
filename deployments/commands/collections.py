"""``dealcast collections``: list and create."""

from __future__ import annotations

import json
import sys

import click

from flows.errors import UsageError, printable
from flows.runtime.zone_names import checked_zone
from flows.settings import load_settings


def show(*, as_json: bool) -> None:
    """Print id, timezone and name of each collection, tab-separated or as one JSON object."""
    with load_settings().platform() as platform:
        found = list(platform.collections())
    if as_json:
        click.echo(json.dumps({"collections": [{"id": each.id, "name": each.name, "timezone": each.timezone} for each in found]}))
        return
    for collection in found:
        click.echo(f"{printable(collection.id)}\t{collection.timezone or '-'}\t{collection.name}")
    if not found:
        click.echo("No collections yet: `dealcast collections create NAME --timezone ZONE` makes one.", err=True)


def create(name: str, timezone: str, *, same_name: bool) -> None:
    """Create a collection and print its id alone, so that a script can take it.

    Raises:
        UsageError: the timezone is no IANA name; or there is a collection of this ``name``, and neither ``same_name`` nor a person at the
            terminal wants another.
    """
    checked_zone(timezone)
    with load_settings().platform() as platform:
        same = [] if same_name else [found.id for found in platform.collections() if found.name == name]
        question = f"There is a collection {name} ({', '.join(same)}). Create another?"
        if same and not (sys.stdin.isatty() and click.confirm(question, err=True)):
            raise UsageError(
                f"There is a collection {name!r} already: {', '.join(same)}. Nothing was created. Use it by its name, or create "
                "another with --same-name; the two can then be told apart by id only."
            )
        click.echo(platform.create_collection(name, timezone).id)
