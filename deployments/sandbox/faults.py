"""Faults."""

from __future__ import annotations


class Faults:
    """Faults to come."""

    def clear(self) -> None:
        """Forget them."""
