"""The same in drt, a reverse-ETL tool: its staged upload, with the CSV wrapped as the form that the platform wants, which drt has not.

Its source is SQLite, made of the export first, as a warehouse would have the deals; nothing is checked.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from drt.config.credentials import SQLiteProfile
from drt.config.models import SyncConfig
from drt.destinations.staged_upload import StagedUploadDestination
from drt.engine.sync import run_sync
from drt.sources.sqlite import SQLiteSource

_BOUNDARY = "deals-boundary"


class FormUpload(StagedUploadDestination):  # type: ignore[misc] # drt ships no types
    """drt's own staged upload, whose file is a form with a separator beside it."""

    def _serialize(self, fmt: str) -> bytes:
        head = 'Content-Disposition: form-data; name="separator"\r\n\r\n,'
        file = 'Content-Disposition: form-data; name="file"; filename="deals.csv"\r\nContent-Type: text/csv\r\n\r\n'
        parts = f"--{_BOUNDARY}\r\n{head}\r\n--{_BOUNDARY}\r\n{file}".encode()
        return parts + bytes(super()._serialize(fmt)) + f"\r\n--{_BOUNDARY}--\r\n".encode()


def main() -> None:
    export, url, token, collection = sys.argv[1:]
    endpoint, headers = f"{url}/api/collection/{collection}/data/deals/append", {"Authorization": f"Token {token}"}
    status = {"url": f"{endpoint}/{{{{ request }}}}", "method": "GET", "headers": headers}
    poll = {**status, "success_values": ["completed"], "failure_values": ["error"], "interval_seconds": 1}
    form = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    destination: dict[str, Any] = {
        "type": "staged_upload",
        "format": "csv",
        "stage": {"url": endpoint, "headers": headers | form, "response_extract": {"request": "id"}},
        "trigger": status,
        "poll": poll,
    }
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "deals.sqlite"
        with sqlite3.connect(warehouse) as database:
            pd.read_csv(export, dtype=str, keep_default_na=False).to_sql("deals", database, index=False)
        sync = SyncConfig.model_validate({"name": "deals", "model": "select * from deals", "destination": destination})
        profile = SQLiteProfile(type="sqlite", database=str(warehouse))
        result = run_sync(sync, SQLiteSource(), FormUpload(), profile, Path(folder))
    if result.failed or result.errors:
        sys.exit(str(result.errors))


if __name__ == "__main__":
    main()
