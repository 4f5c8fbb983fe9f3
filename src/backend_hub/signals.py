"""What a running hub says of itself: the same signals that Prometheus reads, judged."""

from collections import defaultdict
from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

from backend_hub.settings import Settings

CROWDED = 0.8
"""The share of the pool from which on requests soon wait for each other."""
FAILING = 0.01
"""The share of answers that may be a 503 since the start; of a 500 there may be none."""


class Finding(NamedTuple):
    fine: bool
    part: str
    text: str
    remedy: str = ""


async def examine_running(settings: Settings, url: str) -> list[Finding]:
    """Ask the process behind `url` whether it is ready, and for its metrics."""
    token = settings.metrics_token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(base_url=url, timeout=5) as client:
            ready = await client.get("/health/ready")
            metrics = await client.get("/metrics", headers=headers) if token else None
    except httpx.HTTPError as error:
        remedy = "Check that it runs, and that this is its own address, not the proxy's"
        return [Finding(False, "running hub", f"{url}: {error or type(error).__name__}", remedy)]
    if ready.status_code != 200:
        remedy = "Its log says why; a database that is away comes back by itself"
        return [Finding(False, "running hub", f"not ready: {ready.status_code}", remedy)]
    if metrics is None or metrics.status_code != 200:
        remedy = "Set HUB_METRICS_TOKEN, here and for the hub" if metrics is None else "Same token?"
        return [Finding(metrics is None, "running hub", "ready; it shows no metrics", remedy)]
    return judge(metrics.text)


def judge(page: str) -> list[Finding]:
    """What the numbers of a metrics page mean; ValueError when it is none."""
    totals: dict[str, float] = defaultdict(float)
    by_status: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            totals[sample.name] += sample.value
            if sample.name == "hub_requests_total":
                by_status[sample.labels["status"]] += sample.value
    answered = totals["hub_requests_total"]
    used, size = totals["hub_pool_in_use"], totals["hub_pool_size"]
    busy, broken = by_status["503"], by_status["500"]
    return [
        Finding(
            broken == 0,
            "answers",
            f"{answered:.0f}, of them {broken:.0f} with 500",
            "" if broken == 0 else "Look for `status=500` in the log; its request_id leads on",
        ),
        Finding(
            busy <= FAILING * max(answered, 1),
            "refusals",
            f"{busy:.0f} with 503",
            "" if busy <= FAILING * max(answered, 1) else "The database was away, or pools full",
        ),
        Finding(
            used <= CROWDED * size,
            "connections",
            f"{used:.0f} of {size:.0f} at work",
            "" if used <= CROWDED * size else "More of them, or fewer slow statements",
        ),
    ]
