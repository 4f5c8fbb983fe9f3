"""How many statements a read of questions takes: as many for one row as for many."""

import pytest

from tests.hub import Hub, Person, answered, link
from tests.queries import recorded


async def write_some(hub: Hub, ann: Person, bob: Person) -> str:
    asked, answers = await answered(ann, bob, bob, tags=["indexes", "sql"], topic="databases")
    for post in (asked, *answers):
        await ann.create(f"/posts/{post}/comments", {"body": "A comment"})
    return asked


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("/questions?sort=top&topic=databases&tag=sql&author=ann", 1),
        ("/questions?q=index&sort=relevance", 1),
        ("/questions/similar?title=Why+index", 1),
        ("/questions/{id}", 1),
        ("/questions/{id}/answers", 2),
        ("/questions/{id}/related-resources", 2),
    ],
)
async def test_a_read_takes_as_many_statements_for_many_rows(
    hub: Hub, path: str, statements: int
) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    await hub.topic("databases")
    sizes = []
    for rows in (1, 4):
        for number in range(rows):
            asked = await write_some(hub, ann, bob)
            await ann.create("/resources", link(f"Index {rows} {number}", tags=["sql"]))
            await bob.create(f"/questions/{asked}/answers", {"body": "One more"})
        with recorded(hub.database) as seen:
            response = await hub.visitor.get(path.format(id=asked))
        assert response.status_code == 200, response.text
        assert len(seen) == statements, seen
        sizes.append(len(response.content))
    assert "{id}" in path or sizes[1] > sizes[0]
