"""The view of a run in Prefect: artifacts, charts, reports, final states, run names, events."""
