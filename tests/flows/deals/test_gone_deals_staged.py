"""The deals that an export marks as gone are staged as ids in a private file, for what a sync does with them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from flows.deals.staged_file import stage
from flows.errors import ExportUnmappable
from flows.options import SyncOptions

HEADER = "Record ID,Deal Name,Deal Stage,Amount,Create Date,Close Date,Last Modified Date,Merged Deal IDs,_fivetran_deleted\n"


def test_ids_of_deleted_and_merged_deals_are_staged(tmp_path: Path) -> None:
    rows = [("1", "2; 3", ""), ("4", "", "true"), ("5", "", "false")]
    deals = [f"{number},A,Closed won,1,2026-01-01,2026-02-01,2026-02-02,{merged},{deleted}\n" for number, merged, deleted in rows]
    (tmp_path / "deals.csv").write_text(HEADER + "".join(deals))
    staged = stage(SyncOptions(export=str(tmp_path / "deals.csv"), crm="hubspot", collection="c"), tmp_path, "UTC")
    assert staged.gone_ids is not None
    with pa.OSFile(str(staged.gone_ids)) as source:
        assert pa.ipc.open_file(source).read_all()["id"].to_pylist() == ["2", "3", "4"]
    assert (staged.gone, staged.deals, staged.non_rows) == (3, 2, {"deleted in the CRM": 1})
    assert "3 deals are gone from the CRM: deleted, or merged into another" in staged.remarks


def test_a_deal_that_is_marked_as_deleted_and_stands_there_all_the_same_stops(tmp_path: Path) -> None:
    """Change data has a row for each change of a deal; which came last is not told."""
    rows = "".join(
        f"{number},A,Closed won,1,2026-01-01,2026-02-01,2026-02-02,,{deleted}\n"
        for number, deleted in [("4", "f"), ("5", "t"), ("4", "f"), ("5", "f")]
    )
    (tmp_path / "deals.csv").write_text(HEADER + rows)
    with pytest.raises(ExportUnmappable, match="line 5: the deal stands there, and in another row it is marked as deleted"):
        stage(SyncOptions(export=str(tmp_path / "deals.csv"), crm="hubspot", collection="c"), tmp_path, "UTC")


def test_an_export_that_marks_no_deal_as_gone_stages_no_ids(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(HEADER + "1,A,Closed won,1,2026-01-01,2026-02-01,2026-02-02,,false\n")
    staged = stage(SyncOptions(export=str(tmp_path / "deals.csv"), crm="hubspot", collection="c"), tmp_path, "UTC")
    assert (staged.gone, staged.gone_ids) == (0, None)
