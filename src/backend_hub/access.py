"""Who may do what: one row a route. A route without a row stops the program from starting.

`audience` is who the route is for; `author` means that members pass the route and the service
then asks whether the thing is theirs. `scope` is what the token must hold.
"""

from typing import Literal, NamedTuple

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from backend_hub.errors import ConfigurationError

Audience = Literal["anyone", "member", "author", "reviewer", "moderator", "admin"]


class Access(NamedTuple):
    audience: Audience
    scope: str | None = None


ANYONE = Access("anyone")
ACCOUNT_OWNER = Access("member", "account:write")
OWN = Access("author", "account:write")
ADMIN_OF_TOPICS = Access("admin", "topics:write")
ADMIN_OF_USERS = Access("admin", "users:admin")

ACCESS: dict[str, Access] = {
    # health, keys and signing in
    "live": ANYONE,
    "ready": ANYONE,
    "read_jwks": ANYONE,
    "register": ANYONE,
    "issue_token": ANYONE,
    "sign_out": Access("member"),
    "forgot_password": ANYONE,
    "reset_password": ANYONE,
    "verify_email": ANYONE,
    "resend_verification": Access("member", "users:write"),
    # people
    "read_me": Access("member"),
    "update_me": Access("author", "users:write"),
    "read_user": ANYONE,
    "list_posts_by": ANYONE,
    "list_accounts": ADMIN_OF_USERS,
    "read_account": ADMIN_OF_USERS,
    "update_account": ADMIN_OF_USERS,
    # one's own sign-ins, apps and tokens: the scope is one that no app can be granted
    "list_sessions": ACCOUNT_OWNER,
    "end_other_sessions": ACCOUNT_OWNER,
    "end_session": OWN,
    "list_allowed_apps": ACCOUNT_OWNER,
    "withdraw_app": OWN,
    "list_tokens": ACCOUNT_OWNER,
    "make_token": ACCOUNT_OWNER,
    "read_token": OWN,
    "revoke_token": OWN,
    "export_data": ACCOUNT_OWNER,
    "delete_account": ACCOUNT_OWNER,
    # apps: members register their own, admins see all and say which ones they know
    "list_clients": Access("member", "clients:write"),
    "create_client": Access("member", "clients:write"),
    "read_client": Access("author", "clients:write"),
    "update_client": Access("author", "clients:write"),
    "delete_client": Access("author", "clients:write"),
    "renew_client_secret": Access("author", "clients:write"),
    # whom people sign in with
    "list_offered_providers": ANYONE,
    "list_identity_providers": ADMIN_OF_USERS,
    "create_identity_provider": ADMIN_OF_USERS,
    "read_identity_provider": ADMIN_OF_USERS,
    "update_identity_provider": ADMIN_OF_USERS,
    "delete_identity_provider": ADMIN_OF_USERS,
    # topics and tags
    "list_topics": ANYONE,
    "create_topic": ADMIN_OF_TOPICS,
    "read_topic": ANYONE,
    "update_topic": ADMIN_OF_TOPICS,
    "delete_topic": ADMIN_OF_TOPICS,
    "add_maintainer": ADMIN_OF_TOPICS,
    "remove_maintainer": ADMIN_OF_TOPICS,
    "list_tags": ANYONE,
    "read_tag": ANYONE,
    "update_tag": ADMIN_OF_TOPICS,
    # what all posts share
    "read_post": ANYONE,
    "vote": Access("member", "posts:write"),
    "add_bookmark": Access("member", "posts:write"),
    "remove_bookmark": Access("member", "posts:write"),
    "list_bookmarks": Access("member"),
    "list_comments": ANYONE,
    "create_comment": Access("member", "posts:write"),
    "read_comment": ANYONE,
    "update_comment": Access("author", "posts:write"),
    "delete_comment": Access("author", "posts:write"),
    "list_revisions": ANYONE,
    "read_revision": ANYONE,
    "diff_revisions": ANYONE,
    "list_contributors": ANYONE,
    "list_events": ANYONE,
    "stream_events": ANYONE,
    "search": ANYONE,
    # resources
    "list_resources": ANYONE,
    "add_resource": Access("member", "resources:write"),
    "read_resource": ANYONE,
    "edit_resource": Access("author", "resources:write"),
    "delete_resource": Access("author", "resources:write"),
    "restore_resource": Access("author", "resources:write"),
    "restore_resource_revision": Access("author", "resources:write"),
    # questions
    "list_questions": ANYONE,
    "ask_question": Access("member", "questions:write"),
    "similar_questions": ANYONE,
    "read_question": ANYONE,
    "edit_question": Access("author", "questions:write"),
    "delete_question": Access("author", "questions:write"),
    "restore_question": Access("author", "questions:write"),
    "restore_question_revision": Access("author", "questions:write"),
    "list_related_resources": ANYONE,
    "accept_answer": Access("author", "questions:write"),
    "unaccept_answer": Access("author", "questions:write"),
    "close_question": Access("author", "questions:write"),
    "reopen_question": Access("author", "questions:write"),
    # answers
    "list_answers": ANYONE,
    "create_answer": Access("member", "questions:write"),
    "read_answer": ANYONE,
    "edit_answer": Access("author", "questions:write"),
    "delete_answer": Access("author", "questions:write"),
    "restore_answer": Access("author", "questions:write"),
    "restore_answer_revision": Access("author", "questions:write"),
    # contributions: who reviews is a role, or a member who maintains the topic
    "list_contributions": ANYONE,
    "create_contribution": Access("member", "contributions:write"),
    "read_contribution": ANYONE,
    "edit_contribution": Access("author", "contributions:write"),
    "diff_contribution": ANYONE,
    "submit_contribution": Access("author", "contributions:write"),
    "withdraw_contribution": Access("author", "contributions:write"),
    "review_contribution": Access("reviewer", "contributions:review"),
    "list_reviews": ANYONE,
    "read_review": ANYONE,
    "merge_contribution": Access("reviewer", "contributions:review"),
}


def _scopes(dependant: Dependant) -> set[str]:
    """Every scope that the route's security dependencies ask for."""
    scopes = set(dependant.own_oauth_scopes or [])
    for below in dependant.dependencies:
        scopes |= _scopes(below)
    return scopes


def _demands_sign_in(dependant: Dependant) -> bool:
    return any(
        getattr(below.call, "__name__", "") == "current_actor" or _demands_sign_in(below)
        for below in dependant.dependencies
    )


def check(app: FastAPI) -> None:
    """Hold the routes against the table; raises ConfigurationError when they differ."""
    routes = [
        context.original_route
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute) and context.original_route.include_in_schema
    ]
    names = [route.name for route in routes]
    if wrong := {name for name in names if names.count(name) > 1} | set(ACCESS) ^ set(names):
        raise ConfigurationError(f"access.py and the routes differ: {', '.join(sorted(wrong))}")
    for route in routes:
        rule = ACCESS[route.name]
        scopes = {rule.scope} if rule.scope else set()
        signed_in = rule.audience != "anyone"
        if _scopes(route.dependant) != scopes or _demands_sign_in(route.dependant) != signed_in:
            raise ConfigurationError(f"{route.name} does not ask for what access.py says")
