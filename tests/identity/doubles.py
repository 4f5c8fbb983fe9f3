"""Two doubles, on real sockets: GitHub, and an OpenID provider that can misbehave.

GitHub cannot run offline; its double has the three addresses that the hub asks, and answers in
GitHub's form. A certified provider cannot be made to send a wrong `iss` or an unsigned token: the
liar does. What a good provider does is tested with a certified one (peers/provider.mjs).
"""

import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvicorn
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "the-hub"
CLIENT_SECRET = "s3cret-of-the-hub-at-the-double"
Person = dict[str, Any]


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def pkce_fits(challenge: str, verifier: object) -> bool:
    digest = hashlib.sha256(str(verifier).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The app on a socket of its own; its base URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@dataclass
class Liar:
    """An OpenID provider at several issuers, `/a` and `/b`; honest until told otherwise."""

    base: str = ""
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    alg: str = "RS256"
    metadata: dict[str, Any] = field(default_factory=dict)
    """What its metadata says beside the truth."""
    claims: dict[str, Any] = field(default_factory=dict)
    """What its ID tokens say beside the truth; None leaves a claim out."""
    sign: Callable[[dict[str, Any]], str] | None = None
    token: Callable[[], Response] | None = None
    discovery: Callable[[], Response] | None = None
    userinfo: dict[str, Any] | None = None
    asked: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    """Every code and token that it gave out."""

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        """A new key, and the one before is gone."""
        kid = secrets.token_hex(4)
        made: dict[str, Callable[[], Any]] = {
            "RS256": lambda: RSAKey.generate_key(2048, {"kid": kid}),
            "PS256": lambda: RSAKey.generate_key(2048, {"kid": kid}),
            "ES256": lambda: ECKey.generate_key("P-256", {"kid": kid}),
            "EdDSA": lambda: OKPKey.generate_key("Ed25519", {"kid": kid}),
        }
        self.keys = {kid: made[self.alg]()}

    def issuer(self, name: str = "a") -> str:
        return f"{self.base}/{name}"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/{name}/.well-known/openid-configuration", self.show_metadata),
                Route("/{name}/jwks", self.show_keys),
                Route("/{name}/token", self.redeem, methods=["POST"]),
                Route("/{name}/userinfo", self.show_userinfo),
            ]
        )

    async def show_metadata(self, request: Request) -> Response:
        self.asked.append("metadata")
        if self.discovery is not None:
            return self.discovery()
        issuer = self.issuer(request.path_params["name"])
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks",
                "id_token_signing_alg_values_supported": [self.alg],
                **self.metadata,
            }
        )

    async def show_keys(self, request: Request) -> Response:
        self.asked.append("keys")
        keys = [{**key.as_dict(private=False), "use": "sig"} for key in self.keys.values()]
        return JSONResponse({"keys": keys})

    def authorize(self, url: str, person: Person) -> dict[str, str]:
        """Somebody signs in at this address: the query that their browser brings back."""
        query = query_of(url)
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        issuer = url.partition("/authorize?")[0]
        self.codes[code] = {"query": query, "person": person, "issuer": issuer}
        return {"code": code, "state": query["state"], "iss": issuer}

    async def redeem(self, request: Request) -> Response:
        self.asked.append("token")
        if self.token is not None:
            return self.token()
        form = await request.form()
        held = self.codes.pop(str(form["code"]), None)
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        if held is None or not pkce_fits(held["query"]["code_challenge"], form["code_verifier"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        access_token = secrets.token_urlsafe(16)
        claims = {
            "iss": held["issuer"],
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": held["query"]["nonce"],
            **held["person"],
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        id_token = self.sign(claims) if self.sign else self.signed(claims)
        self.issued += [access_token, id_token]
        token = {"access_token": access_token, "token_type": "Bearer", "id_token": id_token}
        return JSONResponse(token)

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        kid, key = next(iter(self.keys.items()))
        return encode({"alg": self.alg, "kid": kid, **header}, claims, key)

    async def show_userinfo(self, request: Request) -> Response:
        return JSONResponse(self.userinfo)


def encode(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    header = {name: value for name, value in header.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(claims), key, registry=registry)


def unsigned(claims: dict[str, Any]) -> str:
    """`alg: none`, which no library makes without being asked twice."""
    parts = [json.dumps({"alg": "none"}).encode(), json.dumps(claims).encode(), b""]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def signed_with_secret(claims: dict[str, Any]) -> str:
    return encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET))


@dataclass
class GitHub:
    """GitHub's token, user and address endpoints, as an Enterprise Server has them."""

    base: str = ""
    user: dict[str, Any] = field(default_factory=dict)
    emails: list[dict[str, Any]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/login/oauth/authorize", self.show_sign_in),
                Route("/login/oauth/access_token", self.redeem, methods=["POST"]),
                Route("/api/v3/user", self.show_user),
                Route("/api/v3/user/emails", self.show_emails),
            ]
        )

    async def show_sign_in(self, request: Request) -> Response:
        """For a real browser: it is signed in already, and allows everything."""
        answer = self.authorize(str(request.url))
        callback = request.query_params["redirect_uri"]
        return RedirectResponse(f"{callback}?code={answer['code']}&state={answer['state']}")

    def authorize(self, url: str) -> dict[str, str]:
        query = query_of(url)
        assert query["scope"] == "read:user user:email"
        code = secrets.token_hex(10)
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    async def redeem(self, request: Request) -> Response:
        """GitHub answers 200 for a refusal too."""
        form = await request.form()
        query = self.codes.pop(str(form["code"]), None)
        known = (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        if not known or request.headers["accept"] != "application/json":
            return JSONResponse({"error": "incorrect_client_credentials"})
        if query is None or not pkce_fits(query["code_challenge"], form.get("code_verifier")):
            return JSONResponse({"error": "bad_verification_code"})
        token = f"gho_{secrets.token_hex(18)}"
        self.allowed.add(f"Bearer {token}")
        scope = "read:user,user:email"
        return JSONResponse({"access_token": token, "scope": scope, "token_type": "bearer"})

    async def show_user(self, request: Request) -> Response:
        return self._show(request, self.user)

    async def show_emails(self, request: Request) -> Response:
        return self._show(request, self.emails)

    def _show(self, request: Request, content: Any) -> Response:
        if request.headers.get("authorization") not in self.allowed:
            return JSONResponse({"message": "Bad credentials"}, 401)
        return JSONResponse(content)
