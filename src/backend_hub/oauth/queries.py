"""Reading apps."""

from sqlalchemy import func, select
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, Database
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.oauth.models import OAuthClient
from backend_hub.oauth.schemas import ClientRead

COLUMNS = [
    func.string_to_array(col(OAuthClient.scope), " ").label(name)
    if name == "scopes"
    else col(getattr(OAuthClient, name))
    for name in ClientRead.model_fields
]


async def list_clients(session: AsyncSession, actor: Actor, page: PageParams) -> Page[ClientRead]:
    """One's own apps; for admins everybody's."""
    statement = select(*COLUMNS)
    if not actor.may("users:admin"):
        statement = statement.where(col(OAuthClient.owner_id) == actor.id)
    order = Order("newest", [col(OAuthClient.created_at), col(OAuthClient.id)])
    return await read_page(session, statement, order, page, ClientRead)


async def registered_origins(database: Database) -> frozenset[str]:
    """Every origin that an app named."""
    found = select(func.unnest(col(OAuthClient.allowed_origins))).distinct()
    async with database.reading() as session:
        return frozenset((await session.execute(found)).scalars())
