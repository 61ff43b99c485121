"""The module that a Prefect server imports where dealcast is installed, as an entry point of `prefect.collections`; workers import it too.

So whoever starts a server, `dealcast up`, `prefect server start` or a sync its temporary one, has it work as `prefect_sqlite` says, and
keep its leases over a restart.
"""

from __future__ import annotations

import sys

if "prefect.server.api.server" in sys.modules:  # a server, not a worker, for which importing its database takes too long
    from flows.runtime.prefect_settings import keep_leases_on_disk
    from flows.runtime.prefect_sqlite import take_turns

    take_turns()
    keep_leases_on_disk()
