"""Processes that die while clients write and retry with the same Idempotency-Key."""

import asyncio
import os
import signal
from typing import Literal

import httpx
import pytest

from backend_hub import embedded
from tests.faults.conftest import Programs
from tests.faults.machine import Ledger, database_server, http, people
from tests.program.conftest import Program

WRITERS = 12


@pytest.fixture(scope="module")
def program(programs: Programs) -> Program:
    return programs().start("--no-seed")


async def test_kill_9_of_the_hub_loses_and_doubles_nothing(program: Program) -> None:
    ledger = Ledger()
    async with http(program) as client, ledger.load(client, await people(program, WRITERS)):
        for _ in range(2):
            await asyncio.sleep(1)
            assert program.process is not None
            os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()
            await asyncio.to_thread(program.start, "--no-seed")
        await asyncio.sleep(0.5)
    await ledger.check(program)
    assert ledger.outcomes["no answer"], "no request met the kill"
    assert len(ledger.acknowledged) > WRITERS


async def restart(program: Program, mode: Literal["fast", "immediate"]) -> None:
    server = database_server(program)
    await asyncio.to_thread(embedded.stop, server, mode)
    await asyncio.to_thread(embedded.start, program.folder / ".hub")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_postgresql_under_load_is_503_and_passes_by_itself(
    program: Program, mode: Literal["fast", "immediate"]
) -> None:
    ledger = Ledger()
    async with http(program) as client, ledger.load(client, await people(program, WRITERS)):
        for _ in range(2):
            await asyncio.sleep(0.7)
            await restart(program, mode)
        await asyncio.sleep(0.7)
    await ledger.check(program)
    assert ledger.outcomes["503"], "no request met the restart"
    assert ledger.outcomes["no answer"] == 0, "the hub itself never went away"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_an_idle_hub_does_not_notice_a_restart_of_postgresql(
    program: Program, mode: Literal["fast", "immediate"]
) -> None:
    async with http(program) as client:
        paths = ["/api/v1/questions"] * 12
        await asyncio.gather(*(client.get(path) for path in paths))  # the pool is full
        await restart(program, mode)
        answers: list[httpx.Response] = await asyncio.gather(*(client.get(path) for path in paths))
    assert [answer.status_code for answer in answers] == [200] * 12
    print(f"{len(answers)} reads over connections from before the restart, each 200")
