"""Our gate."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pyarrow as pa

import expectations.gx.session  # noqa: F401  # its import is not what is measured
from expectations import FileProfile, Gate
from tests.benchmarks.deals import CLOCK


def prepare(table: pa.Table) -> Callable[[], int]:
    """As a sync uses it: a profile of the file, then batch by batch, then the report."""
    batches = [pa.Table.from_batches([batch]) for batch in table.to_batches()]

    def judge() -> int:
        gate = Gate(FileProfile.of(batches), CLOCK)
        for batch in batches:
            gate.check(batch.to_pandas(types_mapper=pd.ArrowDtype))
        return gate.report().failing

    return judge
