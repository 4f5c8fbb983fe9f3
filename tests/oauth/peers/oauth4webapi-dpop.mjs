import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { allow } from "./browser.mjs";

const { HUB, CLIENT_ID, CALLBACK } = process.env;
const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(HUB);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http));
const client = { client_id: CLIENT_ID };
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();

const address = new URL(as.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: CLIENT_ID,
  redirect_uri: CALLBACK,
  response_type: "code",
  scope: "openid profile",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
const parameters = oauth.validateAuthResponse(as, client, await allow(address), state);
const answer = await oauth.authorizationCodeGrantRequest(
  as, client, oauth.None(), parameters, CALLBACK, verifier, { ...http, DPoP },
);
const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, {
  requireIdToken: true,
});
assert.equal(tokens.token_type, "dpop");
const { sub } = oauth.getValidatedIdTokenClaims(tokens);
const told = await oauth.userInfoRequest(as, client, tokens.access_token, { ...http, DPoP });
const who = await oauth.processUserInfoResponse(as, client, sub, told);
const me = new URL("/api/v1/users/me", HUB);
const read = await oauth.protectedResourceRequest(
  tokens.access_token, "GET", me, undefined, undefined, { ...http, DPoP },
);
assert.equal((await read.json()).username, who.preferred_username);
const again = await oauth.processRefreshTokenResponse(
  as, client,
  await oauth.refreshTokenGrantRequest(
    as, client, oauth.None(), tokens.refresh_token, { ...http, DPoP },
  ),
);
assert.equal(again.token_type, "dpop");
console.log(who.preferred_username);
