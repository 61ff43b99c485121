"""The platform's edge: a client for the Nostradamus Sales Forecasting API, usable on its own.

>>> from flows.nostradamus import Nostradamus
>>> with Nostradamus("https://nostradamus.u-hopper.com", token) as platform:  # doctest: +SKIP
...     platform.append("my-collection-id", Path("deals.csv"))
"""

from flows.nostradamus.client import Nostradamus
from flows.nostradamus.models import (
    FORECAST_MONTH,
    FORECAST_REVENUE,
    RESULT_FORMATS,
    Accepted,
    Collection,
    Invocation,
    RequestMode,
    ResultFormat,
    UploadMode,
    UploadRequest,
)

__all__ = [
    "FORECAST_MONTH",
    "FORECAST_REVENUE",
    "RESULT_FORMATS",
    "Accepted",
    "Collection",
    "Invocation",
    "Nostradamus",
    "RequestMode",
    "ResultFormat",
    "UploadMode",
    "UploadRequest",
]
