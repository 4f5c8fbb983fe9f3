"""Search over HTTP."""

from typing import Annotated

from fastapi import Depends, Query, Response

from backend_hub.auth.dependencies import Viewer
from backend_hub.http.paging import Paging
from backend_hub.http.ready import answer
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Slug
from backend_hub.http.sessions import Reads
from backend_hub.search import queries
from backend_hub.search.queries import Search
from backend_hub.search.query_language import SearchKind
from backend_hub.search.schemas import SearchPage
from backend_hub.search.statements import SearchSort

router = hub_router("/search", "search")


async def search_params(
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=500,
            pattern=r"\S",
            description="Words and qualifiers.",
            examples=["postgres index", 'kind:answer is:accepted tag:sql "deadlock detected"'],
        ),
    ],
    kind: Annotated[SearchKind | None, Query(description="Only this kind.")] = None,
    topic: Annotated[Slug | None, Query(description="In this topic, or below it.")] = None,
    sort: Annotated[
        SearchSort, Query(description="Without words, `relevance` is `newest`.")
    ] = "relevance",
    facets: Annotated[
        bool, Query(description="Count the matches by kind, topic and tag, on the first page.")
    ] = True,
) -> Search:
    return Search(q, kind, topic, sort, facets)


@router.get("", summary="Search", response_model=SearchPage)
async def search(
    wanted: Annotated[Search, Depends(search_params)],
    reads: Reads,
    actor: Viewer,
    page: Paging,
) -> Response:
    """Resources, questions and answers, the best match first.

    Each post is searched in the language it is written in. `"a phrase"` stands together, `-word`
    must be absent, `a or b` needs one of the two.

    Qualifiers, each of which `-` in front turns round:

    * `tag:sql` (again for posts with both), `topic:databases` (with all below it)
    * `kind:` `resource`, `link`, `code_sample`, `project`, `question`, `answer`
    * `author:ann`, `lang:de`, `level:beginner`
    * `is:` `accepted` (such an answer, or a question that has one), `answered`, `unanswered`,
      `closed`, `open`
    * `score:>3`, `>=3`, `<3`, `<=3`, `3`, `3..10`
    * `created:>2026-01-31`, or as with scores; a day begins at midnight UTC

    Of two kinds, authors, topics, languages or levels one is enough. A qualifier that does not
    exist is a word.
    """
    return answer(await queries.search(reads, actor, wanted, page))
