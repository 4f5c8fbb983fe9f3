"""Django and REST framework under gunicorn threads: prefetch_related and serializers.

One file, as small Django services are written; the models are not managed, the tables the hub's.
"""

import hashlib
import os
import secrets
from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

address = urlsplit(os.environ["DATABASE_URL"])
socket = parse_qs(address.query).get("host", [None])[0]
settings.configure(
    SECRET_KEY=os.environ["BENCH_SECRET"],
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": address.path[1:],
            "USER": address.username,
            "PASSWORD": address.password or "",
            "HOST": socket or address.hostname,
            "PORT": address.port or 5432,
            "OPTIONS": {"pool": {"min_size": 10, "max_size": 10}, "server_side_binding": True},
        }
    },
    INSTALLED_APPS=["django.contrib.postgres", "rest_framework"],
    MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": [
            "rest_framework.parsers.JSONParser",
            "rest_framework.parsers.FormParser",
        ],
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

import jwt  # noqa: E402
from argon2 import PasswordHasher  # noqa: E402
from argon2.exceptions import VerifyMismatchError  # noqa: E402
from django.contrib.postgres.search import SearchVectorField  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.models import F, Prefetch, Value  # noqa: E402
from django.db.models.expressions import RawSQL  # noqa: E402
from django.db.models.functions import Lower  # noqa: E402
from django.shortcuts import get_object_or_404  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.timezone import now  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed, NotFound  # noqa: E402
from rest_framework.permissions import BasePermission  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from uuid_utils.compat import uuid7  # noqa: E402

passwords = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Model(models.Model):
    class Meta:
        abstract = True
        managed = False
        app_label = "rest_framework"


class User(Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    username = models.TextField()
    display_name = models.TextField()
    password_hash = models.TextField(null=True)
    disabled_at = models.DateTimeField(null=True)
    is_authenticated = True

    class Meta(Model.Meta):
        db_table = "users"


class Topic(Model):
    id = models.UUIDField(primary_key=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    slug = models.TextField()
    name = models.TextField()

    class Meta(Model.Meta):
        db_table = "topics"


class Tag(Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()

    class Meta(Model.Meta):
        db_table = "tags"


class Post(Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    kind = models.TextField()
    author = models.ForeignKey(User, models.CASCADE)
    topic = models.ForeignKey(Topic, models.CASCADE, null=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="answers")
    title = models.TextField()
    body = models.TextField()
    body_html = models.TextField()
    language = models.TextField(default="en")
    license = models.TextField(default="CC-BY-SA-4.0")
    score = models.IntegerField(default=0)
    comment_count = models.IntegerField(default=0)
    revision = models.IntegerField(default=1)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    last_activity_at = models.DateTimeField(default=now)
    draft = models.BooleanField(default=False)
    deleted_at = models.DateTimeField(null=True)
    search_config = models.TextField(default="english")
    search = SearchVectorField()

    class Meta(Model.Meta):
        db_table = "posts"


class Comment(Model):
    id = models.UUIDField(primary_key=True)
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    author = models.ForeignKey(User, models.CASCADE)
    body = models.TextField()
    body_html = models.TextField()
    version = models.IntegerField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(Model.Meta):
        db_table = "comments"


class PostTag(Model):
    pk = models.CompositePrimaryKey("post_id", "tag_id")
    post = models.ForeignKey(Post, models.CASCADE, related_name="tagged")
    tag = models.ForeignKey(Tag, models.CASCADE)
    position = models.IntegerField()

    class Meta(Model.Meta):
        db_table = "post_tags"
        ordering = ("position",)


class Question(Model):
    post = models.OneToOneField(Post, models.CASCADE, primary_key=True)

    class Meta(Model.Meta):
        db_table = "questions"


class Vote(Model):
    pk = models.CompositePrimaryKey("post_id", "user_id")
    post = models.ForeignKey(Post, models.CASCADE)
    user = models.ForeignKey(User, models.CASCADE)
    value = models.IntegerField()
    created_at = models.DateTimeField(default=now)

    class Meta(Model.Meta):
        db_table = "votes"


class IdempotencyRecord(Model):
    pk = models.CompositePrimaryKey("owner", "key")
    owner = models.TextField()
    key = models.TextField()
    request_hash = models.TextField()
    status = models.IntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(default=now)

    class Meta(Model.Meta):
        db_table = "idempotency_records"


class TokenFamily(Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    user = models.ForeignKey(User, models.CASCADE)
    scope = models.TextField()
    address = models.TextField(default="")
    user_agent = models.TextField(default="")
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()

    class Meta(Model.Meta):
        db_table = "token_families"


class RefreshToken(Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    family = models.ForeignKey(TokenFamily, models.CASCADE)
    token_hash = models.TextField()
    created_at = models.DateTimeField(default=now)

    class Meta(Model.Meta):
        db_table = "refresh_tokens"


class AuthorSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("id", "username", "display_name")


class TopicSerializer(serializers.ModelSerializer):
    class Meta:
        model = Topic
        fields = ("slug", "name")


BASE = (
    *("id", "title", "language", "license", "score", "comment_count", "revision", "version"),
    *("created_at", "updated_at", "last_activity_at", "author"),
)


class CommentSerializer(serializers.ModelSerializer):
    author = AuthorSerializer()

    class Meta:
        model = Comment
        fields = (
            *("id", "post_id", "author", "body", "body_html"),
            *("version", "created_at", "updated_at"),
        )


class AnswerSerializer(serializers.ModelSerializer):
    author = AuthorSerializer()
    comments = CommentSerializer(many=True)

    class Meta:
        model = Post
        fields = (*BASE, "body", "body_html", "comments")


class HitSerializer(serializers.ModelSerializer):
    author = AuthorSerializer()
    snippet = serializers.CharField()

    class Meta:
        model = Post
        fields = (*BASE, "snippet")


class SummarySerializer(serializers.ModelSerializer):
    author = AuthorSerializer()
    topic = TopicSerializer()
    tags = serializers.SerializerMethodField()

    class Meta:
        model = Post
        fields = (*BASE, "topic", "tags")

    def get_tags(self, post: Any) -> list[str]:
        return [tagged.tag.name for tagged in post.tagged.all()]


class WholeSerializer(SummarySerializer):
    comments = CommentSerializer(many=True)
    answers = AnswerSerializer(many=True)

    class Meta(SummarySerializer.Meta):
        fields = (*SummarySerializer.Meta.fields, "body", "body_html", "comments", "answers")


class QuestionForm(serializers.Serializer):
    title = serializers.CharField(max_length=200)
    body = serializers.CharField()
    topic = serializers.SlugField()
    tags = serializers.ListField(child=serializers.CharField(max_length=40))


class VoteForm(serializers.Serializer):
    value = serializers.ChoiceField([-1, 1])


class Bearer(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        try:
            token = request.headers.get("Authorization", "")[7:]
            user_id = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])["sub"]
        except jwt.PyJWTError:
            raise AuthenticationFailed from None
        user = User.objects.filter(id=user_id, disabled_at=None).first()
        if user is None:
            raise AuthenticationFailed
        return user, None

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"


class WritesNeedAToken(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return request.method == "GET" or request.user is not None


def with_parts(found: Any) -> Any:
    tagged = PostTag.objects.select_related("tag").order_by("position")
    found = found.select_related("author", "topic").prefetch_related(Prefetch("tagged", tagged))
    return found.defer("search", "author__password_hash")


def with_comments(found: Any) -> Any:
    comments = Comment.objects.select_related("author").order_by("id")
    return found.prefetch_related(Prefetch("comments", comments.defer("author__password_hash")))


class Health(APIView):
    def get(self, request: Any) -> Response:
        return Response({"status": "ok"})


class Questions(APIView):
    permission_classes = (WritesNeedAToken,)

    def get_authenticators(self) -> list[Any]:
        return [Bearer()] if self.request.method == "POST" else []

    def get(self, request: Any) -> Response:
        found = Post.objects.filter(kind="question", deleted_at=None, draft=False)
        if before := request.query_params.get("before"):
            found = found.filter(id__lt=before)
        found = with_parts(found).defer("search", "body", "body_html", "author__password_hash")
        rows = found.order_by("-id")[:20]
        return Response({"items": SummarySerializer(rows, many=True).data})

    @transaction.atomic
    def post(self, request: Any) -> Response:
        form = QuestionForm(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        topic = Topic.objects.filter(slug=given["topic"]).first()
        tags = {tag.name: tag for tag in Tag.objects.filter(name__in=given["tags"])}
        html = f"<p>{escape(given['body'])}</p>\n"
        search = RawSQL(
            "setweight(to_tsvector('english', %s), 'A') || setweight(to_tsvector('english', %s), 'C')",
            (given["title"], given["body"]),
        )
        post = Post.objects.create(
            kind="question",
            author=request.user,
            topic=topic,
            title=given["title"],
            body=given["body"],
            body_html=html,
            search=search,
        )
        Question.objects.create(post=post)
        PostTag.objects.bulk_create(
            PostTag(post=post, tag=tags[name], position=n) for n, name in enumerate(given["tags"])
        )
        data = WholeSerializer(post).data
        body = request.accepted_renderer.render(data)
        IdempotencyRecord.objects.create(
            owner=str(request.user.id),
            key=request.headers["Idempotency-Key"],
            request_hash=hashlib.sha256(repr(given).encode()).hexdigest(),
            status=201,
            body=body,
        )
        return Response(data, status=201)


class OneQuestion(APIView):
    def get(self, request: Any, post_id: Any) -> Response:
        answers = with_comments(Post.objects.select_related("author"))
        answers = answers.defer("search", "author__password_hash")
        found = with_comments(with_parts(Post.objects))
        found = found.prefetch_related(Prefetch("answers", answers))
        return Response(WholeSerializer(get_object_or_404(found, id=post_id)).data)


class Search(APIView):
    def get(self, request: Any) -> Response:
        words = request.query_params["q"]
        query = "websearch_to_tsquery('english', %s)"
        found = Post.objects.filter(deleted_at=None, draft=False).select_related("author")
        found = found.extra(where=[f"posts.search @@ {query}"], params=[words])
        rank = RawSQL(f"ts_rank_cd(posts.search, {query}, 33)", [words])
        snippet = RawSQL(f"ts_headline('english', posts.body, {query})", [words])
        found = found.alias(rank=rank).annotate(snippet=snippet).order_by("-rank", "-id")
        found = found.defer("search", "body", "body_html", "author__password_hash")
        return Response({"items": HitSerializer(found[:20], many=True).data})


class Resources(APIView):
    def get(self, request: Any) -> Response:
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH RECURSIVE below AS (SELECT id FROM topics WHERE slug = %s UNION"
                " SELECT t.id FROM topics t JOIN below ON t.parent_id = below.id)"
                " SELECT id FROM below",
                [request.query_params["topic"]],
            )
            topics = [row[0] for row in cursor.fetchall()]
        found = Post.objects.filter(kind="resource", topic_id__in=topics)
        found = with_parts(found).defer("search", "body", "body_html", "author__password_hash")
        rows = found.order_by("-id")[:20]
        return Response({"items": SummarySerializer(rows, many=True).data})


class Voting(APIView):
    authentication_classes = (Bearer,)

    @transaction.atomic
    def put(self, request: Any, post_id: Any) -> Response:
        form = VoteForm(data=request.data)
        form.is_valid(raise_exception=True)
        value = form.validated_data["value"]
        found = Post.objects.only("author_id", "score").select_for_update(no_key=True)
        post = found.filter(id=post_id).exclude(author=request.user).first()
        if post is None:
            raise NotFound
        before = Vote.objects.filter(post=post, user=request.user).first()
        delta = value - (before.value if before else 0)
        if before is None:
            Vote.objects.create(post=post, user=request.user, value=value)
        else:
            Vote.objects.filter(post=post, user=request.user).update(value=value)
        Post.objects.filter(id=post_id).update(score=F("score") + Value(delta))
        return Response({"value": value, "score": post.score + delta})


class SignIn(APIView):
    def post(self, request: Any) -> Response:
        found = User.objects.annotate(lower=Lower("username")).filter(disabled_at=None)
        user = found.filter(lower=request.data["username"].lower()).first()
        if user is None or user.password_hash is None:
            raise AuthenticationFailed
        try:
            passwords.verify(user.password_hash, request.data["password"])
        except VerifyMismatchError:
            raise AuthenticationFailed from None
        refresh = secrets.token_urlsafe(32)
        digest = hashlib.sha256(refresh.encode()).hexdigest()
        with transaction.atomic():
            expires = now() + timedelta(days=30)
            family = TokenFamily.objects.create(user=user, scope="posts:write", expires_at=expires)
            RefreshToken.objects.create(family=family, token_hash=digest)
        token = jwt.encode({"sub": str(user.id)}, settings.SECRET_KEY, algorithm="HS256")
        return Response({"access_token": token, "refresh_token": refresh})


urlpatterns = [
    path("health", Health.as_view()),
    path("questions", Questions.as_view()),
    path("questions/<uuid:post_id>", OneQuestion.as_view()),
    path("search", Search.as_view()),
    path("resources", Resources.as_view()),
    path("posts/<uuid:post_id>/vote", Voting.as_view()),
    path("sign-in", SignIn.as_view()),
]
app = get_wsgi_application()
