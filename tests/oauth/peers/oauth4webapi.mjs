import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { allow } from "./browser.mjs";

const { HUB, CLIENT_ID, CALLBACK } = process.env;
const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(HUB);
const found = await oauth.discoveryRequest(issuer, http);
const as = await oauth.processDiscoveryResponse(issuer, found);
const client = { client_id: CLIENT_ID };
const verifier = oauth.generateRandomCodeVerifier();
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];

const address = new URL(as.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: CLIENT_ID,
  redirect_uri: CALLBACK,
  response_type: "code",
  scope: "openid profile",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
  nonce,
});
const parameters = oauth.validateAuthResponse(as, client, await allow(address), state);
const answer = await oauth.authorizationCodeGrantRequest(
  as, client, oauth.None(), parameters, CALLBACK, verifier, http,
);
const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, {
  expectedNonce: nonce,
  requireIdToken: true,
});
await oauth.validateApplicationLevelSignature(as, answer, http);
const { sub } = oauth.getValidatedIdTokenClaims(tokens);
const told = await oauth.userInfoRequest(as, client, tokens.access_token, http);
const who = await oauth.processUserInfoResponse(as, client, sub, told);
const again = await oauth.processRefreshTokenResponse(
  as, client,
  await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, http),
);
assert.notEqual(again.refresh_token, tokens.refresh_token);
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, oauth.None(), again.refresh_token, http),
);
console.log(who.preferred_username);
