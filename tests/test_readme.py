"""A new user follows the README: its commands, as printed, in a fresh folder and an empty home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from deployments.sandbox import Sandbox
from tests.make_docs import ROOT, demo_output, part_of, without_ids

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPORT = ROOT / "deployments/commands/demo/hubspot-crm-exports-all-deals-2026-11-02.csv"

ELSEWHERE = {"make demo", "make test", "dealcast up"}
"""The first is compared below, the second is what runs this, the third is `test_up.py`."""


def printed(text: str) -> list[str]:
    """The commands of a page, without their comments."""
    return [re.split(r"\s+#", line)[0] for line in re.findall(r"^\$ (.+)$", text, re.MULTILINE)]


def test_its_commands_work_as_printed(tmp_path: Path, sandbox: Sandbox) -> None:
    commands = [command for command in printed(README) if command not in ELSEWHERE]
    dealcast = [command.split()[1] for command in commands if command.startswith("dealcast")]
    assert dealcast == ["crms", "check", "collections", "sync", "collections"]
    shutil.copy(EXPORT, tmp_path / "deals.csv")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "home").mkdir()
    real = {"dealcast sync deals.csv": "dealcast sync deals.csv --first-month 2026-11"}  # the export of the demo does not grow younger
    real |= {"http://127.0.0.1:8765": sandbox.url, "DEALCAST_TOKEN=sandbox": f"DEALCAST_TOKEN={sandbox.token}"}
    script = "\n".join(["set -eux", *commands])
    for shown, meant in real.items():
        script = script.replace(shown, meant)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_", "VIRTUAL_ENV"))}
    environment |= {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "480 deals sent, 0 quarantined, forecast of 6 months" in done.stdout


def test_it_shows_what_the_demo_prints(tmp_path: Path) -> None:
    fenced = part_of(README, "demo").strip().removeprefix("```console").removesuffix("```")
    assert without_ids(fenced) == without_ids(demo_output(tmp_path)), "run `make docs`"
