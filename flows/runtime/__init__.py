"""Prefect API settings, cancellation, time zones, atomic files and logging."""
