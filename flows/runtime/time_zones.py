"""Time zones by their IANA names."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, available_timezones

from flows.errors import UsageError


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
