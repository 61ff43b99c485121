"""What people see of a run in Prefect: artifacts, charts, reports, final states, run names, events."""
