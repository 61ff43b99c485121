"""What people write instead: pandas, Pandera, requests, and a poll each second. ``python -m ... EXPORT URL TOKEN COLLECTION``."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import requests

DATETIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"
NUMBERS = [
    "numberOfSentEmails",
    "numberOfEmailOpens",
    "numberOfReceivedEmails",
    "numberOfMeetings",
    "accountAverageResponseTime",
    "companyNumberOfEmployees",
    "companyRevenue",
    "contactNumberOfConversions",
    "contactAverageResponseTime",
]
REQUIRED_TIMES = ["creationDatetime", "addDatetime", "currentStageStartDatetime", "lastUpdateDatetime"]
OTHER_TIMES = ["closedDatetime", "expectedClosureDatetime", "lastInteractionDatetime"]


def schema() -> pa.DataFrameSchema:
    number = [pa.Check.str_matches(r"^\d+(\.\d+)?$")]
    columns = {
        "id": pa.Column(str, unique=True),
        "status": pa.Column(str, pa.Check.isin(["closed_won", "closed_lost", "open"])),
        "stage": pa.Column(str),
        "value": pa.Column(str, number),
        **{name: pa.Column(str, number, nullable=True) for name in NUMBERS},
        **{name: pa.Column(str, pa.Check.str_matches(DATETIME)) for name in REQUIRED_TIMES},
        **{name: pa.Column(str, pa.Check.str_matches(DATETIME), nullable=True) for name in OTHER_TIMES},
        **{name: pa.Column(str, pa.Check.isin(["true", "false"]), nullable=True) for name in ("companyIsCustomer", "contactEmailOptedOut")},
    }
    across = [
        pa.Check(lambda deals: deals["addDatetime"] >= deals["creationDatetime"]),
        pa.Check(lambda deals: deals["closedDatetime"].notna() | (deals["status"] == "open")),
    ]
    return pa.DataFrameSchema(columns, checks=across)


def main() -> None:
    export, url, token, collection = sys.argv[1:]
    deals = pd.read_csv(export, dtype=str, keep_default_na=False, na_values=[""])
    schema().validate(deals, lazy=True)
    deals["lastSyncedAt"] = deals["lastSyncedAt"].fillna(datetime.now().isoformat(timespec="seconds"))  # noqa: DTZ005 - as such a script does
    endpoint = f"{url}/api/collection/{collection}/data/deals/append"
    headers = {"Authorization": f"Token {token}"}
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "deals.csv"
        deals.to_csv(csv, index=False)
        with csv.open("rb") as body:
            answer = requests.post(
                endpoint, headers=headers, files={"file": ("deals.csv", body, "text/csv")}, data={"separator": ","}, timeout=600
            )
    answer.raise_for_status()
    status = answer.json()
    while status["status"] in ("queued", "in_progress"):
        time.sleep(1)
        status = requests.get(f"{endpoint}/{status['id']}", headers=headers, timeout=60).json()
    if status["status"] != "completed":
        sys.exit(str(status))


if __name__ == "__main__":
    main()
