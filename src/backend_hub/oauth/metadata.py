"""What clients read to set themselves up: RFC 8414 and OpenID Connect Discovery."""

from typing import Any

from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from backend_hub.auth.proofs import ALGORITHMS
from backend_hub.oauth.clients import GRANTABLE_SCOPES
from backend_hub.oauth.registration import PATH as REGISTRATION
from backend_hub.settings import Settings

PROMPTS = ("none", "login", "consent", "select_account")
CLAIMS = (
    *("iss", "sub", "aud", "exp", "iat", "auth_time", "amr", "nonce", "at_hash", "sid"),
    *("name", "preferred_username", "email", "email_verified"),
)


def server_metadata(settings: Settings) -> dict[str, Any]:
    """One document for both standards; every URL is of the configured issuer."""
    issuer = settings.issuer
    secret = ["client_secret_basic", "client_secret_post"]
    registration = {"registration_endpoint": f"{issuer}{REGISTRATION}"}
    return {
        **(registration if settings.dynamic_registration else {}),
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth/par",
        "require_pushed_authorization_requests": False,
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "service_documentation": f"{issuer}/docs",
        "scopes_supported": list(GRANTABLE_SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            *("authorization_code", "refresh_token", "client_credentials"),
            DEVICE_CODE_GRANT_TYPE,
        ],
        "token_endpoint_auth_methods_supported": ["none", *secret],
        "revocation_endpoint_auth_methods_supported": ["none", *secret],
        "introspection_endpoint_auth_methods_supported": secret,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claim_types_supported": ["normal"],
        "claims_supported": list(CLAIMS),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "prompt_values_supported": list(PROMPTS),
    }
