"""What a command costs before it does anything: ``--help``, and a check of a thousand deals beside the two imports that it needs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.result import Row, ratio
from tests.benchmarks.sync import make_export

ROUNDS = 7
DEALS = 1000


def run() -> list[Row]:
    """Medians of whole processes, in turn."""
    with tempfile.TemporaryDirectory() as place:
        export = make_export(Path(place) / "deals.csv", DEALS)
        dealcast = str(Path(sys.executable).with_name("dealcast"))
        commands = {
            "dealcast --help": [dealcast, "--help"],
            f"dealcast check, {DEALS:,} deals": [dealcast, "check", str(export), "--crm", "canonical"],
            "python -c 'import great_expectations, pandas'": [sys.executable, "-c", "import great_expectations, pandas"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(ROUNDS + 1):
            for name, command in commands.items():
                begun = time.monotonic()
                subprocess.run(command, check=True, capture_output=True)
                if number:  # the first one warms the disk's cache
                    times[name].append(time.monotonic() - begun)
    seconds = {name: median(each) for name, each in times.items()}
    _, check, imports = seconds.values()
    return [
        *(
            Row(name, f"{taken:.2f} s", "< 0.5 s" if "help" in name else "", "help" not in name or taken < 0.5)
            for name, taken in seconds.items()
        ),
        ratio("check / the imports", check / imports, at_most=1.3),
    ]
