"""Nothing that lies in the working directory changes what dealcast runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import sampled
from tests.prefect_database import home_with_database

if TYPE_CHECKING:
    from tests.conftest import WriteDeals

DEALCAST = str(Path(sys.executable).with_name("dealcast"))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose every file would write ``ran`` if it were imported, and whose settings name code and a server of its own."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'a').write(__name__ + '\\n')\n"
    for name in ("httpx.py", "sitecustomize.py", "pandas.py", "hostile_lease.py"):
        (folder / name).write_text(code)
    for package in ("flows", "expectations", "deployments", "prefect"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(code)
    (folder / ".env").write_text(
        "PREFECT_API_URL=http://127.0.0.1:9/api\nPREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=hostile_lease\nDEALCAST_PLATFORM_URL=http://127.0.0.1:9\n"
    )
    (folder / "prefect.toml").write_text('[api]\nurl = "http://127.0.0.1:9/api"\n[logging]\nconfig_path = "hostile.yml"\n')
    (folder / "hostile.yml").write_text("version: 1\nhandlers: {x: {class: hostile_lease.X}}\n")
    return folder


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "command",
    sampled([["check", "deals.csv", "--crm", "canonical"], ["sync", "deals.csv", "--crm", "canonical"], ["demo", "--out", "out"]], 2),
)
def test_a_hostile_working_directory_runs_nothing(
    command: list[str], hostile: Path, collection: str, write_deals: WriteDeals, tmp_path: Path
) -> None:
    write_deals(3, name="hostile/deals.csv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(home_with_database(tmp_path / "prefect"))
    sync = ["--collection", collection, "--no-forecast"] if command[0] == "sync" else []
    ended = subprocess.run([DEALCAST, *command, *sync], cwd=hostile, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert ("prefect.toml" in ended.stderr) is (command[0] != "check"), "what is not read is said where it would have been"
