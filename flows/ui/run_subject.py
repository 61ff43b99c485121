"""The subject of a flow run: one collection, or a table of many."""

from __future__ import annotations

from prefect.context import FlowRunContext

from flows.options import SyncOptions

PIPELINES = "pipelines"
"""The subject of the run of a whole export with several pipelines."""

COLLECTIONS = "collections"
"""The subject of the run of a table of collections."""

_IDS: dict[str, str] = {}
"""Name -> id of the collections that a run was asked for by name."""


def note_id(name: str, collection: str) -> None:
    """Remember of which ``collection`` a run's parameters give the ``name``."""
    _IDS[name] = collection


def by_id(collection: str) -> str:
    """The id of a collection that a run's parameters may give by name."""
    return _IDS.get(collection, collection)


def subject_of_run() -> str | None:
    """The collection that the current flow run is about, or what its many are called; None outside of a flow."""
    context = FlowRunContext.get()
    if context is None:
        return None
    parameters = context.parameters or {}
    for table in (PIPELINES, COLLECTIONS):
        if table in parameters:
            return table
    options = parameters.get("options")
    named = options.collection if isinstance(options, SyncOptions) else parameters.get("collection")
    return None if named is None else by_id(named)
