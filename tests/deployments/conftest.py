"""The command line, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deployments.cli import main

Dealcast = Callable[..., Result]


@pytest.fixture
def dealcast(home: Path) -> Dealcast:  # noqa: ARG001 - the home sets the environment
    """Run a command, which must end with ``code`` and never in a traceback."""

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run
