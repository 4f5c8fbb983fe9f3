"""An app signs its person out (OpenID Connect RP-Initiated Logout 1.0)."""

from collections.abc import Mapping
from dataclasses import dataclass

from authlib.common.urls import add_params_to_uri

from backend_hub.auth.models import TokenFamily
from backend_hub.auth.tokens import Hint, InvalidToken
from backend_hub.oauth.clients import KnownClient, find_client
from backend_hub.oauth.redirects import matches
from backend_hub.oauth.server import HubServer


@dataclass(frozen=True, slots=True)
class Logout:
    """What an app asks: to end which sign-in, and where to go then."""

    client: KnownClient | None
    hint: Hint | None
    """None: nothing shows that the app knows the person."""
    target: str
    """Empty: the hub's own page. Never of a request with a problem."""
    problem: str


async def read_logout(server: HubServer, data: Mapping[str, str]) -> Logout:
    """An expired hint is good, as long as the sign-in that it came from is still known."""
    problem, hint = "", None
    if token := data.get("id_token_hint"):
        try:
            hint = server.tokens.verify_hint(token)
        except InvalidToken:
            problem = "The app sent an ID token that is not of this hub."
    client_id = data.get("client_id") or (hint.client_id if hint else "")
    client = await find_client(server.session, server.settings, client_id)
    if hint is not None and hint.client_id != client_id:
        problem, hint = "The app sent an ID token of another app.", None
    if hint is not None and not await _is_known(server, hint):
        hint = None
    target = data.get("post_logout_redirect_uri", "")
    if target and not (client and _is_registered(client, target)):
        problem = problem or "The app named an address that it did not register."
    if target and (state := data.get("state")):
        target = add_params_to_uri(target, [("state", state)])
    return Logout(client, hint, "" if problem else target, problem)


def _is_registered(client: KnownClient, target: str) -> bool:
    return matches(target, client.row.post_logout_redirect_uris, client.type)


async def _is_known(server: HubServer, hint: Hint) -> bool:
    family = await server.session.get(TokenFamily, hint.family_id)
    return family is not None and (family.user_id, family.client_id) == (
        hint.subject,
        hint.client_id,
    )
