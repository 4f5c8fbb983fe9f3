"""FastAPI and SQLModel as the textbook has it: relationships, selectinload, response_model."""

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from jose import JWTError, jwt
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import Column, DateTime, LargeBinary, func, literal_column
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import selectinload
from sqlmodel import Field, Relationship, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
engine = create_async_engine(url, pool_size=10, max_overflow=0)
app = FastAPI()
SECRET = os.environ["BENCH_SECRET"]
passwords = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
Moment: Any = DateTime(timezone=True)


def now() -> datetime:
    return datetime.now(UTC)


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
    password_hash: str | None
    disabled_at: datetime | None = Field(sa_type=Moment)


class TopicRead(SQLModel):
    slug: str
    name: str


class Topic(TopicRead, table=True):
    __tablename__ = "topics"
    id: UUID = Field(primary_key=True)
    parent_id: UUID | None


class PostBase(SQLModel):
    id: UUID = Field(default_factory=uuid7, primary_key=True)
    title: str
    language: str = "en"
    license: str = "CC-BY-SA-4.0"
    score: int = 0
    comment_count: int = 0
    revision: int = 1
    version: int = 1
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    last_activity_at: datetime = Field(default_factory=now, sa_type=Moment)


class Post(PostBase, table=True):
    __tablename__ = "posts"
    kind: str
    body: str
    body_html: str
    draft: bool = False
    deleted_at: datetime | None = Field(default=None, sa_type=Moment)
    search_config: str = "english"
    search: Any = Field(sa_column=Column(TSVECTOR))
    author_id: UUID = Field(foreign_key="users.id")
    topic_id: UUID | None = Field(foreign_key="topics.id")
    parent_id: UUID | None = Field(default=None, foreign_key="posts.id")
    author: User = Relationship()
    topic: Topic | None = Relationship()
    tags: list[Tag] = Relationship(
        link_model=PostTag, sa_relationship_kwargs={"order_by": "PostTag.position"}
    )
    answers: list["Post"] = Relationship()
    comments: list["Comment"] = Relationship(sa_relationship_kwargs={"order_by": "Comment.id"})


class CommentBase(SQLModel):
    id: UUID = Field(primary_key=True)
    post_id: UUID = Field(foreign_key="posts.id")
    body: str
    body_html: str
    version: int
    created_at: datetime = Field(sa_type=Moment)
    updated_at: datetime = Field(sa_type=Moment)


class Comment(CommentBase, table=True):
    __tablename__ = "comments"
    author_id: UUID = Field(foreign_key="users.id")
    author: User = Relationship()


class Question(SQLModel, table=True):
    __tablename__ = "questions"
    post_id: UUID = Field(primary_key=True, foreign_key="posts.id")
    answer_count: int = 0


class Vote(SQLModel, table=True):
    __tablename__ = "votes"
    post_id: UUID = Field(primary_key=True, foreign_key="posts.id")
    user_id: UUID = Field(primary_key=True, foreign_key="users.id")
    value: int


class IdempotencyRecord(SQLModel, table=True):
    __tablename__ = "idempotency_records"
    owner: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_hash: str
    status: int
    body: bytes = Field(sa_column=Column(LargeBinary))


class TokenFamily(SQLModel, table=True):
    __tablename__ = "token_families"
    id: UUID = Field(default_factory=uuid7, primary_key=True)
    user_id: UUID
    scope: str
    expires_at: datetime = Field(sa_type=Moment)


class RefreshToken(SQLModel, table=True):
    __tablename__ = "refresh_tokens"
    id: UUID = Field(default_factory=uuid7, primary_key=True)
    family_id: UUID = Field(foreign_key="token_families.id")
    token_hash: str


class QuestionCreate(SQLModel):
    title: str
    body: str
    topic: str
    tags: list[str]


class VoteUpdate(SQLModel):
    value: int


class VoteRead(VoteUpdate):
    score: int


class Tokens(SQLModel):
    access_token: str
    refresh_token: str
    token_type: str = "bearer"


class Summary(PostBase):
    author: UserRead
    topic: TopicRead | None
    tags: list[TagRead]


class CommentRead(CommentBase):
    author: UserRead


class Hit(PostBase):
    author: UserRead
    body: str
    body_html: str


class AnswerRead(Hit):
    comments: list[CommentRead]


class Whole(Summary):
    body: str
    body_html: str
    comments: list[CommentRead]
    answers: list[AnswerRead]


class Page(SQLModel):
    items: list[Summary]


class Hits(SQLModel):
    items: list[Hit]


async def get_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
bearer = OAuth2PasswordBearer(tokenUrl="/sign-in")


async def current_user(session: Session, token: Annotated[str, Depends(bearer)]) -> User:
    try:
        user_id = UUID(jwt.decode(token, SECRET, algorithms=["HS256"])["sub"])
    except (JWTError, KeyError, ValueError):
        raise HTTPException(401) from None
    user = await session.get(User, user_id)
    if user is None or user.disabled_at is not None:
        raise HTTPException(401)
    return user


SignedIn = Annotated[User, Depends(current_user)]
LOADED: Any = (
    selectinload(Post.author),  # type: ignore[arg-type]
    selectinload(Post.topic),  # type: ignore[arg-type]
    selectinload(Post.tags),  # type: ignore[arg-type]
)
COMMENTS: Any = selectinload(Post.comments).selectinload(Comment.author)  # type: ignore[arg-type]
ANSWERS: Any = selectinload(Post.answers)  # type: ignore[arg-type]
ALL_LOADED: Any = (*LOADED, COMMENTS, ANSWERS.options(LOADED[0], COMMENTS))


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/questions", response_model=Page)
async def questions(
    session: Session, request: Request, response: Response, before: UUID | None = None
) -> Any:
    found = select(Post).where(Post.kind == "question", Post.deleted_at == None, ~Post.draft)  # type: ignore[operator]  # noqa: E711
    if before is not None:
        found = found.where(Post.id < before)
    rows = (await session.exec(found.options(*LOADED).order_by(Post.id.desc()).limit(20))).all()  # type: ignore[attr-defined]
    etag = f'"{rows[0].id}-{rows[0].version}"'
    response.headers["ETag"] = etag
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return {"items": rows}


@app.get("/questions/{post_id}", response_model=Whole)
async def question(session: Session, post_id: UUID) -> Any:
    found = select(Post).where(Post.id == post_id).options(*ALL_LOADED)
    row = (await session.exec(found)).first()
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


@app.post("/questions", response_model=Whole, status_code=201)
async def ask(
    session: Session,
    user: SignedIn,
    form: QuestionCreate,
    idempotency_key: Annotated[str, Header()],
) -> Any:
    topic = (await session.exec(select(Topic).where(Topic.slug == form.topic))).first()
    tags = (await session.exec(select(Tag).where(Tag.name.in_(form.tags)))).all()  # type: ignore[attr-defined]
    titled = func.setweight(func.to_tsvector("english", form.title), literal_column("'A'"))
    text = func.setweight(func.to_tsvector("english", form.body), literal_column("'C'"))
    post = Post(
        kind="question",
        title=form.title,
        body=form.body,
        body_html=f"<p>{escape(form.body)}</p>\n",
        search=titled.op("||")(text),
        author=user,
        topic=topic,
    )
    session.add(post)
    await session.flush()
    session.add(Question(post_id=post.id))
    ids = {tag.name: tag.id for tag in tags}
    for position, name in enumerate(form.tags):
        session.add(PostTag(post_id=post.id, tag_id=ids[name], position=position))
    await session.flush()
    asked = select(Post).where(Post.id == post.id).options(*ALL_LOADED)
    made = Whole.model_validate(
        (await session.exec(asked.execution_options(populate_existing=True))).one()
    )
    kept = IdempotencyRecord(
        owner=str(user.id),
        key=idempotency_key,
        request_hash=text_hash(form.model_dump_json()),
        status=201,
        body=made.model_dump_json().encode(),
    )
    session.add(kept)
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(409) from None
    return made


@app.put("/posts/{post_id}/vote", response_model=VoteRead)
async def vote(session: Session, user: SignedIn, post_id: UUID, form: VoteUpdate) -> Any:
    post = (await session.exec(select(Post).where(Post.id == post_id).with_for_update())).first()
    if post is None or post.author_id == user.id:
        raise HTTPException(404)
    before = await session.get(Vote, (post_id, user.id))
    post.score += form.value - (before.value if before else 0)
    if before is None:
        session.add(Vote(post_id=post_id, user_id=user.id, value=form.value))
    else:
        before.value = form.value
    voted = VoteRead(value=form.value, score=post.score)
    await session.commit()
    return voted


@app.post("/sign-in", response_model=Tokens)
async def sign_in(session: Session, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Any:
    found = select(User).where(func.lower(User.username) == form.username.lower())
    user = (await session.exec(found)).first()
    if user is None or user.password_hash is None or user.disabled_at is not None:
        raise HTTPException(401)
    if not await run_in_threadpool(passwords.verify, form.password, user.password_hash):
        raise HTTPException(401)
    refresh = secrets.token_urlsafe(32)
    expires = now() + timedelta(days=30)
    family = TokenFamily(user_id=user.id, scope="posts:write", expires_at=expires)
    session.add(family)
    await session.flush()
    session.add(RefreshToken(family_id=family.id, token_hash=text_hash(refresh)))
    token = jwt.encode({"sub": str(user.id)}, SECRET, algorithm="HS256")
    await session.commit()
    return Tokens(access_token=token, refresh_token=refresh)
