import assert from "node:assert/strict";
import * as client from "openid-client";
import { allow } from "./browser.mjs";

const { HUB, CLIENT_ID, CALLBACK } = process.env;
const options = { execute: [client.allowInsecureRequests] };
const config = await client.discovery(new URL(HUB), CLIENT_ID, undefined, client.None(), options);
const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: CALLBACK,
  scope: "openid profile",
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  max_age: "3600",
  state,
  nonce,
});
const tokens = await client.authorizationCodeGrant(config, await allow(address), {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  maxAge: 3600,
  idTokenExpected: true,
});
const who = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
const again = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.notEqual(again.refresh_token, tokens.refresh_token);
await client.tokenRevocation(config, again.refresh_token);
await assert.rejects(client.refreshTokenGrant(config, again.refresh_token), { error: "invalid_grant" });
console.log(who.preferred_username);
