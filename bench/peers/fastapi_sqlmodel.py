"""FastAPI and SQLModel as the textbook has it: relationships, selectinload, response_model."""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from sqlalchemy import func
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import selectinload
from sqlmodel import Field, Relationship, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
engine = create_async_engine(url, pool_size=10, max_overflow=0)
app = FastAPI()


class PostTag(SQLModel, table=True):
    __tablename__ = "post_tags"
    post_id: UUID = Field(primary_key=True, foreign_key="posts.id")
    tag_id: UUID = Field(primary_key=True, foreign_key="tags.id")
    position: int


class TagRead(SQLModel):
    name: str


class Tag(TagRead, table=True):
    __tablename__ = "tags"
    id: UUID = Field(primary_key=True)


class UserRead(SQLModel):
    id: UUID = Field(primary_key=True)
    username: str
    display_name: str


class User(UserRead, table=True):
    __tablename__ = "users"


class TopicRead(SQLModel):
    slug: str
    name: str


class Topic(TopicRead, table=True):
    __tablename__ = "topics"
    id: UUID = Field(primary_key=True)
    parent_id: UUID | None


class PostBase(SQLModel):
    id: UUID = Field(primary_key=True)
    title: str
    language: str
    license: str
    score: int
    comment_count: int
    revision: int
    version: int
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime


class Post(PostBase, table=True):
    __tablename__ = "posts"
    kind: str
    body: str
    body_html: str
    draft: bool
    deleted_at: datetime | None
    search: str
    author_id: UUID = Field(foreign_key="users.id")
    topic_id: UUID | None = Field(foreign_key="topics.id")
    parent_id: UUID | None = Field(foreign_key="posts.id")
    author: User = Relationship()
    topic: Topic | None = Relationship()
    tags: list[Tag] = Relationship(link_model=PostTag)
    answers: list["Post"] = Relationship()


class Summary(PostBase):
    author: UserRead
    topic: TopicRead | None
    tags: list[TagRead]


class AnswerRead(PostBase):
    author: UserRead
    body: str
    body_html: str


class Whole(Summary):
    body: str
    body_html: str
    answers: list[AnswerRead]


class Page(SQLModel):
    items: list[Summary]


class Hits(SQLModel):
    items: list[AnswerRead]


async def get_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine) as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
LOADED: Any = (
    selectinload(Post.author),  # type: ignore[arg-type]
    selectinload(Post.topic),  # type: ignore[arg-type]
    selectinload(Post.tags),  # type: ignore[arg-type]
)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/questions", response_model=Page)
async def questions(session: Session, request: Request, response: Response) -> Any:
    found = select(Post).where(Post.kind == "question", Post.deleted_at == None, ~Post.draft)  # type: ignore[operator]  # noqa: E711
    rows = (await session.exec(found.options(*LOADED).order_by(Post.id.desc()).limit(20))).all()  # type: ignore[attr-defined]
    etag = f'"{rows[0].id}-{rows[0].version}"'
    response.headers["ETag"] = etag
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return {"items": rows}


@app.get("/questions/{post_id}", response_model=Whole)
async def question(session: Session, post_id: UUID) -> Any:
    answers = selectinload(Post.answers).selectinload(Post.author)  # type: ignore[arg-type]
    row = (
        await session.exec(select(Post).where(Post.id == post_id).options(*LOADED, answers))
    ).first()
    if row is None:
        raise HTTPException(404)
    return row


@app.get("/search", response_model=Hits)
async def search(session: Session, q: str) -> Any:
    query = func.websearch_to_tsquery("english", q)
    found = (
        select(Post, func.ts_headline("english", Post.body, query))
        .where(Post.search.op("@@")(query), Post.deleted_at == None, ~Post.draft)  # type: ignore[attr-defined, operator]  # noqa: E711
        .order_by(func.ts_rank_cd(Post.search, query, 33).desc(), Post.id.desc())  # type: ignore[attr-defined]
        .options(LOADED[0])
        .limit(20)
    )
    return {"items": [post for post, _ in (await session.exec(found)).all()]}


@app.get("/resources", response_model=Page)
async def resources(session: Session, topic: str) -> Any:
    top = select(Topic.id).where(Topic.slug == topic).cte(recursive=True)
    below = top.union(select(Topic.id).join(top, Topic.parent_id == top.c.id))  # type: ignore[arg-type]
    found = select(Post).where(Post.kind == "resource", Post.topic_id.in_(select(below.c.id)))  # type: ignore[union-attr]
    rows = await session.exec(found.options(*LOADED).order_by(Post.id.desc()).limit(20))  # type: ignore[attr-defined]
    return {"items": rows.all()}
