"""What a run says of its steps."""

from __future__ import annotations

from typing import Any

from prefect.logging import get_run_logger


def say(step: str, message: str, **facts: Any) -> None:
    """Log one line of a step with its ids and counts as structured extras; never a row's content."""
    get_run_logger().info(message, extra={"dealcast_step": step, **{f"dealcast_{key}": value for key, value in facts.items()}})
