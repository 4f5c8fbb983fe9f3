// An app in the browser, as docs/spa.md describes it. The tests call what it offers.
const { hub, client_id, dpop } = await (await fetch("config.json")).json();
const here = new URL(".", location.href);
const api = `${hub}/api/v1`;

const manager = new oidc.UserManager({
  authority: hub,
  client_id,
  redirect_uri: here.href,
  scope: "openid profile posts:write",
  loadUserInfo: !dpop, // it sends the token as Bearer
  automaticSilentRenew: false,
  userStore: new oidc.WebStorageStateStore({ store: localStorage }),
  ...(dpop && { dpop: { store: new oidc.IndexedDbDPoPStore(), bind_authorization_code: true } }),
});

async function call(path, options = {}) {
  const user = await manager.getUser();
  const method = options.method ?? "GET";
  const headers = { ...options.headers };
  if (user?.token_type.toLowerCase() === "dpop") {
    headers.Authorization = `DPoP ${user.access_token}`;
    headers.DPoP = await manager.dpopProof(api + path, user, method);
  } else if (user) {
    headers.Authorization = `Bearer ${user.access_token}`;
  }
  const answer = await fetch(api + path, { ...options, method, headers });
  return { status: answer.status, body: await answer.json(), etag: answer.headers.get("ETag") };
}

if (new URLSearchParams(location.search).has("code")) {
  await manager.signinRedirectCallback();
  history.replaceState({}, "", here);
}

window.planner = {
  signIn: () => manager.signinRedirect(),
  who: async () => {
    const user = await manager.getUser();
    if (!user) return null;
    return user.profile.preferred_username ?? (await call("/users/me")).body.username;
  },
  kind: async () => (await manager.getUser()).token_type,
  refresh: async () => (await manager.signinSilent()).refresh_token,
  call,
  token: async () => (await manager.getUser()).access_token,
  signOut: async () => {
    await manager.revokeTokens();
    await manager.removeUser();
  },
};
document.title = "Planner is ready";
