// openid-client pushes its request, runs on a device, and signs the person out.
import assert from "node:assert/strict";
import * as client from "openid-client";
import { allow, allowDevice, visit } from "./browser.mjs";

const { HUB, CLIENT_ID, CALLBACK, GOODBYE } = process.env;
const options = { execute: [client.allowInsecureRequests] };
const config = await client.discovery(new URL(HUB), CLIENT_ID, undefined, client.None(), options);

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const address = await client.buildAuthorizationUrlWithPAR(config, {
  redirect_uri: CALLBACK,
  scope: "openid profile",
  resource: HUB,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
assert.deepEqual([...address.searchParams.keys()].sort(), ["client_id", "request_uri"]);
const tokens = await client.authorizationCodeGrant(config, await allow(address), {
  pkceCodeVerifier: verifier,
  expectedState: state,
  idTokenExpected: true,
});

const asked = await client.initiateDeviceAuthorization(config, { scope: "openid profile" });
await allowDevice(asked.verification_uri_complete);
const device = await client.pollDeviceAuthorizationGrant(config, { ...asked, interval: 0.1 });
assert.equal(device.claims().sub, tokens.claims().sub);
assert.notEqual(device.claims().sid, tokens.claims().sid);

const bye = client.buildEndSessionUrl(config, {
  id_token_hint: tokens.id_token,
  post_logout_redirect_uri: GOODBYE,
  state: "so long",
});
const gone = new URL((await visit(bye)).headers.get("location"));
assert.equal(gone.origin + gone.pathname, GOODBYE);
assert.equal(gone.searchParams.get("state"), "so long");
const refused = { error: "invalid_grant" };
await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), refused);

const { sub } = device.claims();
const who = await client.fetchUserInfo(config, device.access_token, sub);
console.log(who.preferred_username);
