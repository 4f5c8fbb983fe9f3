"""Imports every model, so that Alembic and the tests see the whole schema."""

from backend_hub.auth import models as auth
from backend_hub.contributions import models as contributions
from backend_hub.db import metadata
from backend_hub.events import models as events
from backend_hub.http import models as http
from backend_hub.identity import models as identity
from backend_hub.mail import models as mail
from backend_hub.oauth import models as oauth
from backend_hub.posts import models as posts
from backend_hub.questions import models as questions
from backend_hub.resources import models as resources
from backend_hub.topics import models as topics
from backend_hub.users import models as users

__all__ = [
    "auth",
    "contributions",
    "events",
    "http",
    "identity",
    "mail",
    "metadata",
    "oauth",
    "posts",
    "questions",
    "resources",
    "topics",
    "users",
]
