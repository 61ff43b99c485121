"""The reading of an export: what decides its values besides the cells themselves, to be compared with the last completed sync."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flows.crm.dialect import load_dialect, tables_of
from flows.options import SyncOptions

CHOICES = ("crm_timezone", "timezone", "date_order", "decimal", "currency", "pipeline", "closed_date", "default")
"""The options that decide how an export is read, each None where the dialect, or the file itself, is to decide."""

Reading = dict[str, str | None]
"""A reading: ``dialect`` by name, ``dialect content`` as a digest, and each of :data:`CHOICES` as it was in force."""


def reading_of(options: SyncOptions, timezone: str) -> Reading:
    """The reading of an export by ``options`` for a collection in ``timezone``.

    Raises:
        UsageError: the dialect is not known, or makes no sense.
    """
    dialect = load_dialect(options.crm)
    content = json.dumps(tables_of(options.crm), sort_keys=True, default=str).encode()
    given = _given(options)
    return {
        "dialect": dialect.name,
        "dialect content": hashlib.sha256(content).hexdigest()[:16],
        **given,
        "crm_timezone": options.crm_timezone or dialect.crm_timezone,
        "timezone": timezone,
        "date_order": options.date_order or dialect.date_order,
    }


def said(options: SyncOptions) -> dict[str, str]:
    """Those of :data:`CHOICES` that the user made, to be taken again where a later sync says nothing."""
    return {name: value for name, value in _given(options).items() if value is not None}


def _given(options: SyncOptions) -> dict[str, str | None]:
    """Each choice as text, None where none was made; several defaults in a line each."""
    return {name: getattr(options, name, None) for name in CHOICES} | {"default": "\n".join(options.default) or None}


def with_remembered(options: SyncOptions, before: Mapping[str, Any] | None) -> SyncOptions:
    """``options``, each choice that they leave open taken from the last completed sync's baseline ``before``.

    A choice made for another dialect is none for this one; ``forget_reading`` takes none.
    """
    if options.forget_reading or before is None or (before.get("reading") or {}).get("dialect") != load_dialect(options.crm).name:
        return options
    known = {name: value for name, value in (before.get("said") or {}).items() if name in SyncOptions.model_fields}
    taken: dict[str, Any] = {name: value for name, value in known.items() if not getattr(options, name)}
    if "default" in taken:
        taken["default"] = tuple(taken["default"].splitlines())
    return options.model_copy(update=taken)


def remembered(options: SyncOptions, taken: SyncOptions) -> str:
    """A sentence on the choices that ``taken`` has from the last completed sync beyond ``options``; empty where there is none."""
    made = said(options)
    names = ", ".join(f"{name} {value}".replace("\n", "; ") for name, value in said(taken).items() if name not in made)
    return f"As by the last completed sync, since nothing else was said: {names}; --forget-reading takes nothing from it." if names else ""


def differences(now: Reading, before: Mapping[str, Any] | None) -> list[str]:
    """The differences from the reading ``before``, each by name: `crm_timezone was Europe/Rome, is UTC`."""
    if before is None:
        return []
    return [
        f"{name} was {before[name] or 'not given'}, is {value or 'not given'}"
        for name, value in now.items()
        if name in before and before[name] != value
    ]
