"""What `backend-hub doctor --url` reads in the metrics of a running hub."""

import asyncio

from backend_hub.settings import load_settings
from backend_hub.signals import examine_running, judge
from tests.program.conftest import Program, program

__all__ = ["program"]

PAGE = """# TYPE hub_requests counter
hub_requests_total{{method="GET",route="/a",status="200"}} 1000
hub_requests_total{{method="GET",route="/a",status="500"}} {broken}
hub_requests_total{{method="GET",route="/a",status="503"}} {busy}
# TYPE hub_pool_size gauge
hub_pool_size 10
# TYPE hub_pool_in_use gauge
hub_pool_in_use {used}
"""


def wrong(**numbers: int) -> set[str]:
    page = PAGE.format(**({"broken": 0, "busy": 0, "used": 3} | numbers))
    return {finding.part for finding in judge(page) if not finding.fine}


def test_each_signal_is_judged_by_itself() -> None:
    assert wrong() == set()
    assert wrong(broken=1) == {"answers"}
    assert wrong(busy=5) == set()
    assert wrong(busy=50) == {"refusals"}
    assert wrong(used=9) == {"connections"}


async def test_the_doctor_asks_a_hub_that_runs_and_says_when_none_does(program: Program) -> None:
    program.environment["HUB_METRICS_TOKEN"] = "scrape-me-softly"
    await asyncio.to_thread(program.start, "--no-seed")
    fine = await asyncio.to_thread(program.run, "doctor", "--url", program.url)
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert "of 10 at work" in fine.stdout
    stranger = load_settings(environment="development", metrics_token="another-token-entirely")
    [finding] = await examine_running(stranger, program.url)
    assert (finding.fine, "Same token?" in finding.remedy) == (False, True)
    away = await asyncio.to_thread(program.run, "doctor", "--url", "http://127.0.0.1:9")
    assert away.returncode == 1
    assert "running hub" in away.stdout
