"""Durable state outside Prefect: what was begun and answered, who holds a collection, and which runs are dead."""
