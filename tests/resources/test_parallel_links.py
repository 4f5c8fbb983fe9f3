"""One URL added by many at once."""

import asyncio

from tests.hub import Hub, link


async def test_of_many_that_add_one_url_at_once_one_succeeds(live: Hub) -> None:
    ann = await live.person("ann")
    forms = [link(f"Title {number}", url="https://x.example/page") for number in range(8)]
    answers = await asyncio.gather(*(ann.post("/resources", form) for form in forms))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert all(problem["code"] == "duplicate_url" for problem in refused)
    assert len({problem["existing"]["id"] for problem in refused}) == 1
