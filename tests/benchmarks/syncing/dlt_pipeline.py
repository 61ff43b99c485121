"""The same in dlt: a resource that reads the export, and a custom destination that posts and polls. Its contracts know types, not rules:

nothing is checked, which flatters its time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.csv as pacsv
import requests
from dlt.common.schema.typing import TTableSchema

from expectations.deals_schema import COLUMN_NAMES


def main() -> None:
    export, url, token, collection = sys.argv[1:]
    endpoint = f"{url}/api/collection/{collection}/data/deals/append"
    headers = {"Authorization": f"Token {token}"}

    @dlt.resource(name="deals", write_disposition="append")
    def deals() -> Iterator[pa.Table]:
        options = pacsv.ConvertOptions(column_types=dict.fromkeys(COLUMN_NAMES, pa.string()), strings_can_be_null=True)
        with pacsv.open_csv(export, parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=options) as batches:
            yield from (pa.Table.from_batches([batch]) for batch in batches)

    @dlt.destination(batch_size=0, loader_file_format="parquet", name="forecasting", naming_convention="direct")
    def forecasting(items: Any, table: TTableSchema, /) -> None:  # noqa: ARG001 - the signature is dlt's
        import pyarrow.parquet as pq  # noqa: PLC0415 - as dlt's own examples do

        with tempfile.TemporaryDirectory() as folder:
            csv = Path(folder) / "deals.csv"
            pacsv.write_csv(pq.read_table(items).select(list(COLUMN_NAMES)), csv)
            with csv.open("rb") as body:
                status = requests.post(
                    endpoint, headers=headers, files={"file": ("deals.csv", body, "text/csv")}, data={"separator": ","}, timeout=600
                ).json()
        while status["status"] in ("queued", "in_progress"):
            time.sleep(1)
            status = requests.get(f"{endpoint}/{status['id']}", headers=headers, timeout=60).json()
        if status["status"] != "completed":
            raise RuntimeError(str(status))

    with tempfile.TemporaryDirectory() as home:
        dlt.pipeline("deals", destination=forecasting, pipelines_dir=home).run(deals()).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
