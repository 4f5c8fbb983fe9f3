"""Apps are registered, changed and removed here."""

import secrets

from sqlalchemy import delete
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.auth.service import hash_token
from backend_hub.db import AsyncSession
from backend_hub.errors import Conflict, Forbidden, NotFound, Unprocessable
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.oauth.clients import CONFIDENTIAL
from backend_hub.oauth.models import ClientType, OAuthClient
from backend_hub.oauth.redirects import origins_of
from backend_hub.oauth.schemas import (
    ClientCreate,
    ClientRead,
    ClientUpdate,
    check_redirects,
    check_uris,
)

CHECKS = {"redirect_uris": check_redirects, "post_logout_redirect_uris": check_uris}


class NoSecret(Conflict):
    code, title = "no_secret", "This app cannot keep a secret, so it has none"


class SelfRegistered(Conflict):
    code, title = "self_registered", "This app registered itself: nobody can vouch for it"


class BuiltIn(Conflict):
    code, title = "built_in", "This app belongs to the hub"


SHOWN = frozenset({*CHECKS, "scopes", "name", "logo_url"})
"""What an admin looks at."""


def read_model(client: OAuthClient) -> ClientRead:
    fields = client.model_dump(include=set(ClientRead.model_fields))
    return ClientRead(**fields, scopes=client.scope.split())


async def create_client(
    session: AsyncSession, actor: Actor, form: ClientCreate
) -> tuple[OAuthClient, str | None]:
    """An app of this person, and its secret if it can keep one."""
    secret = secrets.token_urlsafe(32) if form.type in CONFIDENTIAL else None
    client = OAuthClient(
        id=secrets.token_urlsafe(16),
        owner_id=actor.id,
        name=form.name.strip(),
        type=form.type,
        homepage_url=form.homepage_url,
        logo_url=form.logo_url,
        secret_hash=hash_token(secret) if secret else None,
        redirect_uris=form.redirect_uris,
        post_logout_redirect_uris=form.post_logout_redirect_uris,
        require_pushed_authorization_requests=form.require_pushed_authorization_requests,
        allowed_origins=_origins(form.type, form.redirect_uris)
        if form.allowed_origins is None
        else form.allowed_origins,
        scope=" ".join(dict.fromkeys(form.scopes)),
    )
    session.add(client)
    await session.flush()
    _record(session, actor, client, "client.created")
    return client, secret


async def get_client(session: AsyncSession, actor: Actor, client_id: str) -> OAuthClient:
    """An app of one's own, and for admins any; raises NotFound."""
    return await _find(session, actor, client_id, lock=False)


async def update_client(
    session: AsyncSession, actor: Actor, client_id: str, form: ClientUpdate, if_match: str
) -> OAuthClient:
    """Raises Forbidden when somebody who is no admin says that the hub knows an app.

    An app that changes where it sends people is not the one that was looked at.
    """
    client = await _locked(session, actor, client_id, if_match)
    changes = form.changes()
    if "verified" in changes and not actor.may("users:admin"):
        raise Forbidden("Only admins say which apps the hub knows")
    if changes.get("verified") and client.registration_hash is not None:
        raise SelfRegistered
    for name, check in CHECKS.items():
        if name in changes:
            try:
                check(changes[name], ClientType(client.type))
            except ValueError as error:
                raise Unprocessable(str(error), loc=("body", name)) from None
    if client.allowed_origins == _origins(client.type, client.redirect_uris):
        origins = _origins(client.type, changes.get("redirect_uris", client.redirect_uris))
        changes.setdefault("allowed_origins", origins)
    if SHOWN & set(changes) and not actor.may("users:admin"):
        client.verified = False
    if "scopes" in changes:
        changes["scope"] = " ".join(dict.fromkeys(changes.pop("scopes")))
    for name, value in changes.items():
        setattr(client, name, value)
    client.version += 1
    await session.flush()
    _record(session, actor, client, "client.updated")
    return client


async def renew_secret(
    session: AsyncSession, actor: Actor, client_id: str, if_match: str
) -> tuple[OAuthClient, str]:
    """A new secret; the one before stops working at once. Raises NoSecret."""
    client = await _locked(session, actor, client_id, if_match)
    if client.secret_hash is None:
        raise NoSecret
    secret = secrets.token_urlsafe(32)
    client.secret_hash = hash_token(secret)
    client.version += 1
    await session.flush()
    _record(session, actor, client, "client.secret_renewed")
    return client, secret


async def delete_client(session: AsyncSession, actor: Actor, client_id: str, if_match: str) -> None:
    """Remove an app: everybody is signed out of it, and its codes are void."""
    client = await _locked(session, actor, client_id, if_match)
    _record(session, actor, client, "client.deleted")
    await session.execute(delete(OAuthClient).where(col(OAuthClient.id) == client.id))


def _origins(client_type: str, redirect_uris: list[str]) -> list[str]:
    """What an app in browsers has when it names no origin."""
    return origins_of(redirect_uris) if client_type == ClientType.spa else []


async def _locked(
    session: AsyncSession, actor: Actor, client_id: str, if_match: str
) -> OAuthClient:
    client = await _find(session, actor, client_id, lock=True)
    require_version(if_match, client.version)
    if client.owner_id is None and client.registration_hash is None:
        raise BuiltIn
    return client


async def _find(session: AsyncSession, actor: Actor, client_id: str, lock: bool) -> OAuthClient:
    found = select(OAuthClient).where(OAuthClient.id == client_id)
    if not actor.may("users:admin"):
        found = found.where(OAuthClient.owner_id == actor.id)
    client = (await session.exec(found.with_for_update() if lock else found)).first()
    if client is None:
        raise NotFound("There is no such app of yours")
    return client


def _record(session: AsyncSession, actor: Actor, client: OAuthClient, event: str) -> None:
    record(session, event, actor_id=actor.id, subject_id=client.id, private=True, name=client.name)
