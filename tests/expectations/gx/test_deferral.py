"""What Great Expectations imports and the deals suite never uses is loaded when something uses it, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import HANG

GATE = """
import sys

import pytest
from expectations import Gate, FileProfile
Gate(FileProfile.of([]))
deferred = [name for name in ("scipy.stats", "altair") if name not in sys.modules]
"""
AFTERWARDS = """
import scipy.stats
from scipy.stats import norm
from altair import Chart
print(deferred, round(norm.cdf(0), 3), Chart.__module__.split(".")[0], type(sys.modules["altair"]).__name__)
"""
FIRST_USE = """
from great_expectations.expectations.core import expect_column_kl_divergence_to_be_less_than as divergence
entropy = divergence.stats.entropy([0.5, 0.5], [0.5, 0.5])
print(deferred, float(entropy), divergence.alt.Chart.__name__, type(sys.modules["scipy.stats"]).__name__)
"""


ABSENT = """
import sys

import pytest
import threading
import sqlalchemy.types
from expectations.gx.deferral import absent

def another():
    import botocore.session

with absent("sqlalchemy", "botocore", "google"):
    import sqlalchemy.types
    beside = threading.Thread(target=another)
    beside.start()
    beside.join()
    try:
        import google.cloud.storage
    except ImportError as error:
        print("botocore.session" in sys.modules, error)
import google.cloud.storage
"""
HAVING_CHECKED = """
deferred += [name for name in ("sqlalchemy", "botocore", "google.cloud.storage") if name not in sys.modules]
import botocore.session, google.cloud.storage, sqlalchemy
"""


def told(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_gate_loads_neither_nor_parts_for_other_stores_and_later_imports_get_the_real_ones() -> None:
    deferred = "['scipy.stats', 'altair', 'sqlalchemy', 'botocore', 'google.cloud.storage']"
    assert told(GATE + HAVING_CHECKED + AFTERWARDS) == f"{deferred} 0.5 altair module"


@pytest.mark.slow
def test_an_expectation_that_uses_them_finds_them() -> None:
    assert told(GATE + FIRST_USE) == "['scipy.stats', 'altair'] 0.0 Chart module"


def test_what_is_absent_is_so_in_one_block_for_one_thread_and_unless_it_is_loaded() -> None:
    assert told(ABSENT) == "True No module named 'google' here, on purpose"
