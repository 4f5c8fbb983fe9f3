"""What the hub holds of a person: every column that refers to an account has a row here.

A row says where its table's rows go in the person's export, and what becomes of them when the
person leaves. A test holds this list against the schema.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table

from backend_hub.db import metadata


@dataclass(frozen=True, slots=True)
class Holding:
    """The rows of `table` whose `column` is the person."""

    table: str
    column: str
    file: str = ""
    """In the export, without `.json`; empty: not exported, and `why` says why."""
    deleted: bool = False
    """Whether the rows go when the person leaves; what stays refers to a deleted user."""
    why: str = ""
    without: frozenset[str] = frozenset()
    """Columns that are not exported: secrets, and what the hub made of other columns."""

    def rows_of(self, user_id: Any) -> ColumnElement[bool]:
        column: Any = self.on.c[self.column]
        mine: ColumnElement[bool] = column == user_id
        return mine

    @property
    def on(self) -> Table:
        return metadata.tables[self.table]


def _without(*names: str) -> frozenset[str]:
    return frozenset(names)


HOLDINGS = (
    Holding("users", "id", "profile", without=_without("password_hash")),
    # what they wrote: it stays, or is removed by deletion.py
    Holding(
        "posts", "author_id", "posts", without=_without("body_html", "search", "search_config")
    ),
    Holding("posts", "deleted_by_id", why="their events tell of it"),
    Holding("revisions", "editor_id", "revisions"),
    Holding("revisions", "reviewer_id", why="their reviews tell of it"),
    Holding("comments", "author_id", "comments", without=_without("body_html")),
    Holding("reviews", "reviewer_id", "reviews", without=_without("body_html")),
    Holding("contributions", "merged_by_id", why="their events tell of it"),
    Holding("questions", "closed_by_id", why="their events tell of it"),
    Holding("votes", "user_id", "votes"),
    Holding("bookmarks", "user_id", "bookmarks", deleted=True),
    Holding("topic_maintainers", "user_id", "maintained_topics", deleted=True),
    Holding("events", "actor_id", "events", without=_without("transaction_id")),
    # how they sign in, and what acts for them
    Holding(
        "browser_sessions", "user_id", "browser_sessions", True, without=_without("token_hash")
    ),
    Holding("token_families", "user_id", "sign_ins", deleted=True),
    Holding(
        "personal_tokens",
        "user_id",
        "personal_access_tokens",
        deleted=True,
        without=_without("token_hash"),
    ),
    Holding("linked_accounts", "user_id", "other_accounts", deleted=True),
    Holding("passkeys", "user_id", "passkeys", deleted=True, without=_without("credential_id")),
    Holding("second_factors", "user_id", "second_factor", deleted=True),
    Holding("recovery_codes", "user_id", deleted=True, why="they are secrets"),
    Holding("pending_sign_ins", "user_id", deleted=True, why="a sign-in waits for minutes"),
    Holding("login_transactions", "user_id", deleted=True, why="a sign-in waits for minutes"),
    Holding("email_tokens", "user_id", deleted=True, why="links of mails, secrets for a day"),
    Holding("oauth_consents", "user_id", "allowed_apps", deleted=True),
    Holding("oauth_codes", "user_id", deleted=True, why="a code lives for a minute"),
    Holding("oauth_clients", "owner_id", "own_apps", True, without=_without("secret_hash")),
    Holding("security_events", "user_id", "security_log", deleted=True),
)
"""In an order in which the rows can be deleted."""

NEVER_EXPORTED = ("_hash", "secret", "private", "_key")
"""Parts of the names of columns that no export holds, whatever a row says."""


def exported_columns(holding: Holding) -> list[Any]:
    return [
        column
        for column in holding.on.columns
        if column.name not in holding.without
        and not any(part in column.name for part in NEVER_EXPORTED)
    ]
