"""The primary is lost under load and its replica takes over."""

import asyncio
import time
from pathlib import Path

from tests.faults.conftest import Programs
from tests.faults.machine import Ledger, http, people
from tests.faults.servers import clusters


async def test_a_promoted_replica_is_found_without_a_restart(
    programs: Programs, scratch: Path
) -> None:
    with clusters(scratch, "primary", "replica") as (primary, replica):
        await asyncio.to_thread(primary.create().start)
        await asyncio.to_thread(replica.replicate, primary)
        await asyncio.to_thread(replica.start)
        # Acknowledged is what both have: that is PostgreSQL's to promise, when it is told to.
        await asyncio.to_thread(primary.stop)
        await asyncio.to_thread(primary.start, synchronous_standby_names="replica")
        hosts = f"host=127.0.0.1:{primary.port}&host=127.0.0.1:{replica.port}"
        url = f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"
        program = programs(HUB_DATABASE_URL=url)
        await asyncio.to_thread(program.start, "--no-seed", "--migrate")
        program.environment["HUB_DATABASE_URL"] = primary.url()
        writers = await people(program, 8)
        ledger = Ledger()
        async with http(program) as client, ledger.load(client, writers):
            await asyncio.sleep(1.5)
            before = len(ledger.acknowledged)
            await asyncio.to_thread(primary.stop, "immediate")
            await asyncio.sleep(0.5)
            await asyncio.to_thread(replica.promote)
            promoted = time.monotonic()
            already = len(ledger.acknowledged)
            while len(ledger.acknowledged) == already:
                assert time.monotonic() - promoted < 20, "the hub does not find the new primary"
                await asyncio.sleep(0.05)
            took = time.monotonic() - promoted
            await asyncio.sleep(1)
        program.environment["HUB_DATABASE_URL"] = replica.url()
        await ledger.check(program)
        assert before > 0
        assert ledger.outcomes["503"]
        assert ledger.outcomes["no answer"] == 0
        print(f"the first write was acknowledged {took:.2f} s after the promotion")
