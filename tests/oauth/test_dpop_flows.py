"""DPoP (RFC 9449) in the flows that begin outside of a browser."""

from urllib.parse import parse_qsl, urlencode

from tests.hub import Hub
from tests.oauth.apps import allow, scene
from tests.oauth.browsing import parameters
from tests.oauth.proving import Prover
from tests.oauth.test_devices import GRANT, decide, device_scene
from tests.oauth.test_dpop import TOKEN, post, refresh

PAR = "/oauth/par"


async def test_a_device_binds_its_refresh_tokens_to_its_key(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    await decide(browser, asked["user_code"])
    prover = Prover()
    form = {"grant_type": GRANT, "device_code": asked["device_code"]}
    tokens = (await post(app, form, prover.proof("POST", TOKEN))).json()
    assert tokens["token_type"] == "DPoP"
    stolen = await refresh(app, tokens["refresh_token"], {})
    assert stolen.json()["error"] == "invalid_grant"
    again = await refresh(app, tokens["refresh_token"], prover.proof("POST", TOKEN))
    assert again.json()["token_type"] == "DPoP"


async def test_the_key_that_a_pushed_request_proves_is_the_one_of_its_code(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    prover = Prover()
    asked = dict(parse_qsl(app.asks().partition("?")[2]))
    for changes, status in (({"dpop_jkt": Prover().jkt}, 400), ({}, 201)):
        answer = await app.hub.client.post(
            PAR, data=asked | changes, headers=prover.proof("POST", PAR)
        )
        assert answer.status_code == status, answer.text
    query = {"client_id": app.id, "request_uri": answer.json()["request_uri"]}
    back = await allow(browser, f"/oauth/authorize?{urlencode(query)}")
    form = {
        "grant_type": "authorization_code",
        "code": parameters(back)["code"],
        "redirect_uri": app.redirect_uri,
        "code_verifier": app.verifier,
    }
    assert (await post(app, form, {})).json()["error"] == "invalid_grant"
    assert (await post(app, form, prover.proof("POST", TOKEN))).status_code == 200
