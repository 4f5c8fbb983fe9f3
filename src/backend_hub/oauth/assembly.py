"""Authlib's server with everything that the hub does."""

from backend_hub.auth.tokens import TokenService
from backend_hub.db import AsyncSession
from backend_hub.oauth.device_flow import DeviceAuthorization, DeviceGrant
from backend_hub.oauth.flows import (
    CodeGrant,
    Introspection,
    MachineGrant,
    RefreshGrant,
    Revocation,
    S256Only,
)
from backend_hub.oauth.server import HubServer
from backend_hub.settings import Settings


def make_server(session: AsyncSession, settings: Settings, tokens: TokenService) -> HubServer:
    server = HubServer(session, settings, tokens)
    server.register_grant(CodeGrant, [S256Only()])
    server.register_grant(RefreshGrant)
    server.register_grant(MachineGrant)
    server.register_grant(DeviceGrant)
    server.register_endpoint(DeviceAuthorization)
    server.register_endpoint(Revocation)
    server.register_endpoint(Introspection)
    return server
