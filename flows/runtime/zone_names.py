"""Time zones by their IANA names."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, available_timezones

from flows.errors import UsageError


def zone_of(collection: str, zone: str | None) -> str:
    """The zone that the platform's list says a collection has.

    Raises:
        UsageError: it says none, or none that there is: a wrong guess would shift every time.
    """
    try:
        return checked_zone(zone or "")
    except UsageError as error:
        said = f"says {zone!r}, which is no IANA time zone, as the timezone" if zone else "names no timezone"
        raise UsageError(
            f"The platform's list of collections {said} of {collection!r}, and none is guessed: give --timezone ZONE, the IANA zone with "
            "which the collection was created, such as Europe/Rome. Nothing was sent."
        ) from error


def checked_zone(name: str) -> str:
    """``name``, an IANA time zone.

    Raises:
        UsageError: it is none; the message names one that is close.
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        close = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"Unknown timezone {name!r}.{hint} Use an IANA name such as Europe/Rome.") from error
    return name
