"""What a small hub holds."""

from typing import Any
from uuid import UUID

from backend_hub.http.markdown import render
from backend_hub.posts.models import Post
from backend_hub.questions.models import Answer, Question
from backend_hub.users.models import Role
from tests.hub import Hub, Person, code_sample, link, project

OVERVIEW = """\
## What a database is for

It *remembers*, see [the manual](https://www.postgresql.org/docs/).

| kind | for |
|---|---|
| relational | most things |

```sql
SELECT 'a line that is long enough to need a scroll bar on a telephone, and then some more of it';
```

1. Read
2. Try
"""


def _post(author: Person, kind: str, body: str, **fields: Any) -> Post:
    return Post(
        kind=kind,
        author_id=UUID(author.id),
        body=body,
        body_html=render(body),
        language="en",
        license="CC-BY-SA-4.0",
        **fields,
    )


async def ask(hub: Hub, asker: Person, title: str, *answers: str, **fields: Any) -> str:
    """A question with answers, of which the last one is accepted; its id."""
    async with hub.database.transaction() as session:
        question = _post(asker, "question", "What do I miss?", title=title, **fields)
        session.add(question)
        await session.flush()
        accepted = None
        for body in answers:
            answer = _post(asker, "answer", body, parent_id=question.id)
            session.add(answer)
            await session.flush()
            session.add(Answer(post_id=answer.id, question_id=question.id))
            accepted = answer.id
        session.add(
            Question(post_id=question.id, answer_count=len(answers), accepted_answer_id=accepted)
        )
        return str(question.id)


async def fill(hub: Hub) -> dict[str, str]:
    """A topic with a sub-topic, a resource of each kind and a question; their pages' paths."""
    admin = await hub.person("topic-keeper", Role.admin)
    ann = await hub.person("ann")
    top = {"slug": "databases", "name": "Databases", "overview": OVERVIEW}
    await admin.create("/topics", {**top, "description": "Where data stays correct."})
    below = {"slug": "postgresql", "name": "PostgreSQL", "parent": "databases"}
    created = await admin.create("/topics", below)
    paths = {
        "home": "/",
        "topic": "/topics/databases",
        "sub-topic": "/topics/postgresql",
    }
    for make in (link, code_sample, project):
        form = make(topic="postgresql", tags=["sql"], level="beginner")
        resource = await ann.create("/resources", form)
        paths[form["kind"]] = f"/resources/{resource['id']}"
    question = await ask(
        hub, ann, "Why are two NULLs not equal?", "Because.", topic_id=UUID(created["id"])
    )
    paths["question"] = f"/questions/{question}"
    return paths
