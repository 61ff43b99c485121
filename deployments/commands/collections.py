"""``dealcast collections``: list and create."""

from __future__ import annotations

import click

from flows.runtime.time_zones import checked_zone
from flows.settings import load_settings


def show() -> None:
    """Print id, timezone and name of each collection, tab-separated."""
    with load_settings().platform() as platform:
        found = list(platform.collections())
    for collection in found:
        click.echo(f"{collection.id}\t{collection.timezone or '-'}\t{collection.name}")
    if not found:
        click.echo("No collections yet: `dealcast collections create NAME --timezone ZONE` makes one.", err=True)


def create(name: str, timezone: str) -> None:
    """Create a collection and print its id alone, so that a script can take it.

    Raises:
        UsageError: the timezone is no IANA name.
    """
    checked_zone(timezone)
    with load_settings().platform() as platform:
        click.echo(platform.create_collection(name, timezone).id)
