"""People over HTTP; signing in is in `auth/`."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from backend_hub.auth.actor import Actor
from backend_hub.auth.dependencies import Admin, ProfileOwner, SignedIn
from backend_hub.auth.service import revoke_all
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.paging import Paging
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Username
from backend_hub.http.sessions import ReadSession, Session
from backend_hub.users import queries, service
from backend_hub.users.models import User
from backend_hub.users.schemas import AccountRead, AccountUpdate, MeRead, MeUpdate, UserRead

router = hub_router("/users", "users")
accounts = hub_router("/accounts", "accounts")


def _me(user: User, actor: Actor) -> MeRead:
    fields = user.model_dump(include=set(MeRead.model_fields))
    verified = user.email_verified_at is not None
    return MeRead(**fields, email_verified=verified, scopes=sorted(actor.scopes))


@router.get("/me", summary="Read your own account")
async def read_me(actor: SignedIn, session: ReadSession, response: Response) -> MeRead:
    """Who this request's token belongs to, and what it may do."""
    user = await service.get_user(session, actor.id)
    set_version(response, user.version)
    return _me(user, actor)


@router.patch("/me", summary="Change your profile")
async def update_me(
    form: MeUpdate, actor: ProfileOwner, if_match: IfMatch, session: Session, response: Response
) -> MeRead:
    """Change the name that is shown, and what you say about yourself."""
    user = await service.update_profile(session, actor.id, form, if_match)
    set_version(response, user.version)
    return _me(user, actor)


@router.get("/{username}", summary="Read a profile")
async def read_user(
    username: Annotated[Username, Path(examples=["demo"])], session: ReadSession
) -> UserRead:
    """A person's public profile; their posts are at `/users/{username}/posts`."""
    return await queries.read_user(session, username)


@accounts.get("", summary="List accounts")
async def list_accounts(session: ReadSession, actor: Admin, page: Paging) -> Page[AccountRead]:
    """All accounts, the newest first. For admins."""
    return await queries.list_accounts(session, page)


@accounts.get("/{user_id}", summary="Read an account")
async def read_account(
    user_id: UUID, session: ReadSession, actor: Admin, response: Response
) -> AccountRead:
    """One account with its role and state. For admins."""
    account = await queries.read_account(session, user_id)
    set_version(response, account.version)
    return account


@accounts.patch("/{user_id}", summary="Change an account")
async def update_account(
    user_id: UUID,
    form: AccountUpdate,
    actor: Admin,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> AccountRead:
    """Give a role, or disable an account: its tokens stop working at once. For admins."""
    user = await service.update_account(session, actor.id, user_id, form, if_match)
    if user.disabled_at is not None:  # for good: enabling the account again revives no token
        await revoke_all(session, user.id)
    set_version(response, user.version)
    return AccountRead.model_validate(user)
