import assert from "node:assert/strict";
import * as client from "openid-client";
import { allow } from "./browser.mjs";

const { HUB, CLIENT_ID, CALLBACK } = process.env;
const options = { execute: [client.allowInsecureRequests] };
const config = await client.discovery(new URL(HUB), CLIENT_ID, undefined, client.None(), options);
const offered = config.serverMetadata().dpop_signing_alg_values_supported;

async function signIn(alg) {
  const keys = await client.randomDPoPKeyPair(alg);
  const DPoP = client.getDPoPHandle(config, keys);
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: "openid profile",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    dpop_jkt: await DPoP.calculateThumbprint(),
    state,
  });
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  const tokens = await client.authorizationCodeGrant(
    config, await allow(address), checks, {}, { DPoP },
  );
  assert.equal(tokens.token_type, "dpop");
  return { tokens, DPoP };
}

let who;
for (const alg of ["ES256", "RS256", "PS256", "Ed25519"].filter((alg) => offered.includes(alg))) {
  const { tokens, DPoP } = await signIn(alg);
  who = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP });
  const me = new URL("/api/v1/users/me", HUB);
  const read = (token, proof) =>
    client.fetchProtectedResource(config, token, me, "GET", undefined, undefined, proof);
  assert.equal((await read(tokens.access_token, { DPoP })).status, 200);
  await assert.rejects(read(tokens.access_token), { code: "OAUTH_WWW_AUTHENTICATE_CHALLENGE" });
  const again = await client.refreshTokenGrant(config, tokens.refresh_token, {}, { DPoP });
  assert.equal((await read(again.access_token, { DPoP })).status, 200);
  await assert.rejects(client.refreshTokenGrant(config, again.refresh_token), {
    error: "invalid_grant",
  });
  await client.tokenRevocation(config, again.refresh_token);
}
console.log(who.preferred_username);
