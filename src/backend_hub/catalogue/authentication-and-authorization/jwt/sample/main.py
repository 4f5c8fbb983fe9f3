import base64
import json
from datetime import UTC, datetime, timedelta

import jwt

from tokens import Issuer, Verifier

login = Issuer("https://login.example")
api = Verifier("https://login.example", audience="https://api.example")
api.trust(*login.public_key())


def attempt(label, token, needs="notes:read"):
    try:
        claims = api.verify(token)
    except jwt.InvalidTokenError as error:
        # Log the reason; tell the caller no more than 401.
        print(f"{label:<28} 401  ({type(error).__name__})")
        return
    allowed = needs in claims["scope"].split()
    print(f"{label:<28} {'200  hello ' + claims['sub'] if allowed else '403'}")


def encode_part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


good = login.issue("ada", "https://api.example", "notes:read")
header, payload, signature = good.split(".")
kid = jwt.get_unverified_header(good)["kid"]

attempt("a good token", good)
attempt("a good token, other scope", good, needs="notes:write")

print()
claims = jwt.decode(good, options={"verify_signature": False})  # anyone can read it
admin = encode_part({**claims, "sub": "admin"})
attempt("changed payload", f"{header}.{admin}.{signature}")

unsigned = encode_part({"alg": "none", "typ": "JWT", "kid": kid})
attempt("algorithm none", f"{unsigned}.{admin}.")
attempt("not a token at all", "hello")

hour_ago = datetime.now(UTC) - timedelta(hours=1)
attempt("expired", login.issue("ada", "https://api.example", "notes:read", now=hour_ago))
attempt("meant for another API", login.issue("ada", "https://shop.example", "notes:read"))
stranger = Issuer("https://login.example")
attempt("signed by a stranger", stranger.issue("ada", "https://api.example", "notes:read"))

print()
login.rotate()
api.trust(*login.public_key())  # real APIs fetch the published keys (JWKS)
attempt("old key, still trusted", good)
attempt("new key", login.issue("bob", "https://api.example", "notes:read"))

api.revoke(claims["jti"])
attempt("revoked", good)
