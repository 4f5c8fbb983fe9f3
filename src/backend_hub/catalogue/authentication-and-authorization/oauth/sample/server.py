"""A tiny authorization server and, at /me, the API that it protects."""

import base64
import hashlib
import hmac
import secrets
import time
from urllib.parse import urlencode

from flask import Flask, redirect, request

app = Flask(__name__)

# Registered beforehand. A public client (mobile or browser app) has no secret.
CLIENTS = {"notes-app": {"redirect_uris": {"http://127.0.0.1:8765/callback"}}}
SIGNED_IN_USER = "ada"  # a real server shows a login page and asks for consent
codes, tokens = {}, {}


def challenge_of(verifier):
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def same(one, other):
    """Compare without telling, by the time it takes, how much was right."""
    return hmac.compare_digest(one.encode(), other.encode())


@app.get("/authorize")
def authorize():
    asked = request.args.to_dict()
    client = CLIENTS.get(asked.get("client_id"))
    if client is None or asked.get("redirect_uri") not in client["redirect_uris"]:
        return {"error": "invalid_request"}, 400  # never redirect to an unknown address
    if asked.get("response_type") != "code":
        answer = {"error": "unsupported_response_type"}
    elif asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
        answer = {"error": "invalid_request"}
    else:
        answer = {"code": secrets.token_urlsafe(32)}
        expires = time.monotonic() + 60
        codes[answer["code"]] = {**asked, "user": SIGNED_IN_USER, "expires": expires}
    answer["state"] = asked.get("state", "")
    return redirect(f"{asked['redirect_uri']}?{urlencode(answer)}")


@app.post("/token")
def token():
    form = request.form
    if form.get("grant_type") != "authorization_code":
        return {"error": "unsupported_grant_type"}, 400
    grant = codes.pop(form.get("code"), None)  # pop: a code works once
    if (
        grant is None
        or grant["expires"] < time.monotonic()
        or form.get("client_id") != grant["client_id"]
        or form.get("redirect_uri") != grant["redirect_uri"]
        or not same(challenge_of(form.get("code_verifier", "")), grant["code_challenge"])
    ):
        return {"error": "invalid_grant"}, 400
    access_token, scope = secrets.token_urlsafe(32), grant.get("scope", "")
    expires = time.monotonic() + 600
    tokens[access_token] = {"user": grant["user"], "scope": scope, "expires": expires}
    answer = {"access_token": access_token, "token_type": "Bearer", "expires_in": 600}
    return {**answer, "scope": scope}, 200, {"Cache-Control": "no-store"}


@app.get("/me")
def me():
    given = request.authorization
    known = tokens.get(given.token) if given and given.type == "bearer" else None
    if known is None or known["expires"] < time.monotonic():
        return {"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"}
    if "profile" not in known["scope"].split():
        return {"error": "insufficient_scope"}, 403
    return {"user": known["user"]}
