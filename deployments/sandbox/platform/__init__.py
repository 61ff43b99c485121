"""The platform's store, its validation, its background work and its baseline forecast."""
