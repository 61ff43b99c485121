"""``python -m tests.benchmarks [PART]``: all benchmarks, or one; ends 1 where a limit is not kept."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

PARTS = ("gate", "extract", "sync")


def main() -> int:
    """Run the parts asked for."""
    there = [part for part in PARTS if Path(__file__).with_name(f"{part}.py").exists()]
    wanted = sys.argv[1:] or there
    if unknown := [part for part in wanted if part not in there]:
        sys.stderr.write(f"No benchmark is called {', '.join(unknown)}; there are: {', '.join(there)}.\n")
        return 2
    kept = [importlib.import_module(f"tests.benchmarks.{part}").run() for part in wanted]
    return 0 if all(result is not False for result in kept) else 1


if __name__ == "__main__":
    sys.exit(main())
