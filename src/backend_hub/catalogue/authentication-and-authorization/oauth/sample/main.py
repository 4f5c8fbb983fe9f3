"""The client: what a mobile app does, with us in the role of its browser."""

import logging
import secrets
import threading
from urllib.parse import parse_qsl, urlsplit

import requests
from werkzeug.serving import make_server

from server import app, challenge_of, same

CLIENT = {"client_id": "notes-app", "redirect_uri": "http://127.0.0.1:8765/callback"}
logging.getLogger("werkzeug").setLevel(logging.ERROR)  # its log would contain codes
server = make_server("127.0.0.1", 0, app, threaded=True)
BASE = f"http://127.0.0.1:{server.port}"


def begin(**changes):
    """Make the two secrets of one flow, and send the browser to the server."""
    state, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(48)
    question = {
        **CLIENT, "response_type": "code", "scope": "profile", "state": state,
        "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
    }
    response = requests.get(
        f"{BASE}/authorize", {**question, **changes}, allow_redirects=False, timeout=5
    )
    return state, verifier, response


def read_callback(location, state):
    answer = dict(parse_qsl(urlsplit(location).query))
    if not same(answer["state"], state):
        raise ValueError("this answer belongs to a flow that we did not begin")
    return answer["code"]


def finish(code, verifier):
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    return requests.post(f"{BASE}/token", {**CLIENT, **form}, timeout=5)


def me(token):
    return requests.get(f"{BASE}/me", headers={"Authorization": f"Bearer {token}"}, timeout=5)


def show(label, response):
    print(f"{label:<25} {response.status_code}  {response.json()}")


threading.Thread(target=server.serve_forever).start()
try:
    state, verifier, response = begin()
    code = read_callback(response.headers["Location"], state)
    print("1. authorize:", response.status_code, "with a code for", CLIENT["redirect_uri"])
    response = finish(code, verifier)
    print("2. token:", response.status_code, response.json()["token_type"])
    print("3. API:", me(response.json()["access_token"]).json(), end="\n\n")

    show("code used again", finish(code, verifier))
    state, verifier, response = begin()
    stolen = read_callback(response.headers["Location"], state)
    show("stolen code, no verifier", finish(stolen, secrets.token_urlsafe(48)))
    show("unregistered address", begin(redirect_uri="https://evil.example/")[2])
    show("made-up token", me("guess"))
    try:
        read_callback(response.headers["Location"], "another flow")
    except ValueError as error:
        print("wrong state:", error)
finally:
    server.shutdown()
    server.server_close()
