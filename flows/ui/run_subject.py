"""What a flow run is about: one collection, or a table of many."""

from __future__ import annotations

from prefect.context import FlowRunContext

from flows.options import SyncOptions

PIPELINES = "pipelines"
"""What the run of a whole export with several pipelines is about."""

COLLECTIONS = "collections"
"""What the run of a table of collections is about."""


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
    return options.collection if isinstance(options, SyncOptions) else parameters.get("collection")
