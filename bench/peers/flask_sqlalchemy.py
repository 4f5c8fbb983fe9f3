"""Flask and SQLAlchemy under gunicorn threads: relationships, selectinload, dictionaries."""

import hashlib
import os
import secrets
from datetime import UTC, datetime, timedelta
from functools import wraps
from html import escape
from typing import Any
from uuid import UUID

import jwt
import orjson
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask, Response, abort, request
from sqlalchemy import DateTime, ForeignKey, create_engine, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)
from uuid_utils.compat import uuid7

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
engine = create_engine(url, pool_size=10, max_overflow=0)
app = Flask(__name__)
SECRET = os.environ["BENCH_SECRET"]
passwords = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}


class PostTag(Base):
    __tablename__ = "post_tags"
    post_id: Mapped[UUID] = mapped_column(ForeignKey("posts.id"), primary_key=True)
    tag_id: Mapped[UUID] = mapped_column(ForeignKey("tags.id"), primary_key=True)
    position: Mapped[int]
    tag: Mapped["Tag"] = relationship()


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]


class User(Base):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    display_name: Mapped[str]
    password_hash: Mapped[str | None] = mapped_column(deferred=True)
    disabled_at: Mapped[datetime | None]


class Topic(Base):
    __tablename__ = "topics"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    parent_id: Mapped[UUID | None]
    slug: Mapped[str]
    name: Mapped[str]


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str]
    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("posts.id"))
    title: Mapped[str]
    body: Mapped[str]
    body_html: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    license: Mapped[str] = mapped_column(default="CC-BY-SA-4.0")
    score: Mapped[int] = mapped_column(default=0)
    comment_count: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_activity_at: Mapped[datetime]
    draft: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime | None]
    search_config: Mapped[str] = mapped_column(default="english")
    search: Mapped[str] = mapped_column(TSVECTOR, deferred=True)
    author: Mapped[User] = relationship()
    topic: Mapped[Topic | None] = relationship()
    tagged: Mapped[list[PostTag]] = relationship(order_by=PostTag.position)
    answers: Mapped[list["Post"]] = relationship()
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id")


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    post_id: Mapped[UUID] = mapped_column(ForeignKey("posts.id"))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str]
    body_html: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    author: Mapped[User] = relationship()


class Question(Base):
    __tablename__ = "questions"
    post_id: Mapped[UUID] = mapped_column(ForeignKey("posts.id"), primary_key=True)
    answer_count: Mapped[int] = mapped_column(default=0)


class Vote(Base):
    __tablename__ = "votes"
    post_id: Mapped[UUID] = mapped_column(ForeignKey("posts.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    value: Mapped[int]


class IdempotencyRecord(Base):
    __tablename__ = "idempotency_records"
    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int]
    body: Mapped[bytes]


class TokenFamily(Base):
    __tablename__ = "token_families"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    scope: Mapped[str]
    expires_at: Mapped[datetime]


class RefreshToken(Base):
    __tablename__ = "refresh_tokens"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("token_families.id"))
    token_hash: Mapped[str]


LOADED = (
    joinedload(Post.author),
    joinedload(Post.topic),
    selectinload(Post.tagged).joinedload(PostTag.tag),
)
COMMENTS = selectinload(Post.comments).joinedload(Comment.author)
ANSWERS = selectinload(Post.answers).options(joinedload(Post.author), COMMENTS)
NAMES = (
    *("id", "title", "language", "license", "score", "comment_count", "revision", "version"),
    *("created_at", "updated_at", "last_activity_at"),
)
TEXT = ("body", "body_html")
OF_COMMENT = ("id", "post_id", *TEXT, "version", "created_at", "updated_at")


def send(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, mimetype="application/json")


def shown(row: Post | Comment, *names: str) -> dict[str, Any]:
    author = row.author
    who = {"id": author.id, "username": author.username, "display_name": author.display_name}
    return {**{name: getattr(row, name) for name in names}, "author": who}


def summary(post: Post, *names: str) -> dict[str, Any]:
    topic = post.topic and {"slug": post.topic.slug, "name": post.topic.name}
    tags = [tagged.tag.name for tagged in post.tagged]
    return {**shown(post, *NAMES, *names), "topic": topic, "tags": tags}


def comments(post: Post) -> list[dict[str, Any]]:
    return [shown(comment, *OF_COMMENT) for comment in post.comments]


def whole(post: Post) -> dict[str, Any]:
    answers = [
        {**shown(answer, *NAMES, *TEXT), "comments": comments(answer)} for answer in post.answers
    ]
    return {**summary(post, *TEXT), "comments": comments(post), "answers": answers}


def signed_in(view: Any) -> Any:
    @wraps(view)
    def checked(**values: Any) -> Any:
        try:
            token = request.headers.get("Authorization", "")[7:]
            user_id = jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]
        except jwt.PyJWTError:
            abort(401)
        with Session(engine) as session:
            user = session.get(User, UUID(user_id))
            if user is None or user.disabled_at is not None:
                abort(401)
            return view(session, user, **values)

    return checked


@app.get("/health")
def health() -> Any:
    return send({"status": "ok"})


@app.get("/questions")
def questions() -> Any:
    found = select(Post).where(Post.kind == "question", Post.deleted_at.is_(None), ~Post.draft)
    if before := request.args.get("before"):
        found = found.where(Post.id < UUID(before))
    with Session(engine) as session:
        rows = session.scalars(found.options(*LOADED).order_by(Post.id.desc()).limit(20)).all()
        response = send({"items": [summary(row) for row in rows]})
    response.add_etag()
    return response.make_conditional(request)


@app.get("/questions/<uuid:post_id>")
def question(post_id: UUID) -> Any:
    found = select(Post).where(Post.id == post_id).options(*LOADED, COMMENTS, ANSWERS)
    with Session(engine) as session:
        row = session.scalar(found)
        return send(whole(row)) if row else abort(404)


@app.get("/search")
def search() -> Any:
    query = func.websearch_to_tsquery("english", request.args["q"])
    found = (
        select(Post, func.ts_headline("english", Post.body, query))
        .where(Post.search.op("@@")(query), Post.deleted_at.is_(None), ~Post.draft)
        .order_by(func.ts_rank_cd(Post.search, query, 33).desc(), Post.id.desc())
        .options(LOADED[0])
        .limit(20)
    )
    with Session(engine) as session:
        rows = session.execute(found).all()
        return send(
            {"items": [{**shown(post, *NAMES), "snippet": snippet} for post, snippet in rows]}
        )


@app.get("/resources")
def resources() -> Any:
    top = select(Topic.id).where(Topic.slug == request.args["topic"]).cte(recursive=True)
    below = top.union(select(Topic.id).join(top, Topic.parent_id == top.c.id))
    found = select(Post).where(Post.kind == "resource", Post.topic_id.in_(select(below.c.id)))
    with Session(engine) as session:
        rows = session.scalars(found.options(*LOADED).order_by(Post.id.desc()).limit(20)).all()
        return send({"items": [summary(row) for row in rows]})


@app.post("/questions")
@signed_in
def ask(session: Session, user: User) -> Any:
    form = orjson.loads(request.data)
    topic = session.scalar(select(Topic).where(Topic.slug == form["topic"]))
    tags = {tag.name: tag for tag in session.scalars(select(Tag).where(Tag.name.in_(form["tags"])))}
    titled = func.setweight(func.to_tsvector("english", form["title"]), literal_column("'A'"))
    text = func.setweight(func.to_tsvector("english", form["body"]), literal_column("'C'"))
    moment = datetime.now(UTC)
    post = Post(
        kind="question",
        title=form["title"],
        body=form["body"],
        body_html=f"<p>{escape(form['body'])}</p>\n",
        created_at=moment,
        updated_at=moment,
        last_activity_at=moment,
        search=titled.op("||")(text),
        author=user,
        topic=topic,
        tagged=[PostTag(tag=tags[name], position=n) for n, name in enumerate(form["tags"])],
        answers=[],
        comments=[],
    )
    session.add(post)
    session.flush()
    session.add(Question(post_id=post.id))
    made = orjson.dumps(whole(post))
    digest = hashlib.sha256(request.data).hexdigest()
    key = request.headers["Idempotency-Key"]
    session.add(
        IdempotencyRecord(owner=str(user.id), key=key, request_hash=digest, status=201, body=made)
    )
    session.commit()
    return Response(made, 201, mimetype="application/json")


@app.put("/posts/<uuid:post_id>/vote")
@signed_in
def vote(session: Session, user: User, post_id: UUID) -> Any:
    value = orjson.loads(request.data)["value"]
    post = session.scalar(select(Post).where(Post.id == post_id).with_for_update())
    if post is None or post.author_id == user.id:
        abort(404)
    before = session.get(Vote, (post_id, user.id))
    post.score += value - (before.value if before else 0)
    if before is None:
        session.add(Vote(post_id=post_id, user_id=user.id, value=value))
    else:
        before.value = value
    content = {"value": value, "score": post.score}
    session.commit()
    return send(content)


@app.post("/sign-in")
def sign_in() -> Any:
    with Session(engine) as session:
        name = request.form["username"].lower()
        user = session.scalar(select(User).where(func.lower(User.username) == name))
        if user is None or user.password_hash is None or user.disabled_at is not None:
            abort(401)
        try:
            passwords.verify(user.password_hash, request.form["password"])
        except VerifyMismatchError:
            abort(401)
        refresh = secrets.token_urlsafe(32)
        expires = datetime.now(UTC) + timedelta(days=30)
        family = TokenFamily(user_id=user.id, scope="posts:write", expires_at=expires)
        session.add(family)
        session.flush()
        digest = hashlib.sha256(refresh.encode()).hexdigest()
        session.add(RefreshToken(family_id=family.id, token_hash=digest))
        token = jwt.encode({"sub": str(user.id)}, SECRET, algorithm="HS256")
        session.commit()
    return send({"access_token": token, "refresh_token": refresh})
