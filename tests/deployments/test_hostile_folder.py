"""Nothing that lies in the working directory changes what dealcast runs; `dealcast up` is run in such a folder by its own test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENT_START, sampled
from tests.prefect_database import home_with_database

if TYPE_CHECKING:
    from tests.conftest import WriteDeals

DEALCAST = str(Path(sys.executable).with_name("dealcast"))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "command",
    sampled(
        [
            ["check", "deals.csv", "--crm", "canonical"],
            ["sync", "deals.csv", "--crm", "canonical"],
            ["collections", "verify", "COLLECTION", "deals.csv", "--crm", "canonical"],
            ["crms", "deals.csv"],
            ["demo", "--out", "out"],
        ]
    ),
)
def test_a_hostile_working_directory_runs_nothing(
    command: list[str], hostile: Path, collection: str, write_deals: WriteDeals, tmp_path: Path
) -> None:
    write_deals(3, name="hostile/deals.csv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(home_with_database(tmp_path / "prefect")), **PATIENT_START}
    sync = ["--collection", collection, "--no-forecast"] if command[0] == "sync" else []
    named = [collection if word == "COLLECTION" else word for word in command]
    ended = subprocess.run([DEALCAST, *named, *sync], cwd=hostile, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == (9 if "verify" in command else 0), ended.stderr  # the collection is empty
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert ("prefect.toml" in ended.stderr) is (command[0] in ("demo", "sync")), "what is not read is said where it would have been"
