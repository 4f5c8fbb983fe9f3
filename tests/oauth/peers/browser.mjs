// Somebody at a browser: signs in, and allows what the app asks.
const jar = new Map();

export async function visit(address, options = {}) {
  const url = new URL(address, process.env.HUB);
  const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  const headers = { ...options.headers, cookie, "sec-fetch-site": "same-origin" };
  const answer = await fetch(url, { ...options, headers, redirect: "manual" });
  for (const line of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    jar.set(name, value);
  }
  return answer;
}

function hidden(html) {
  const unescape = (text) => text.replaceAll("&amp;", "&").replaceAll("&#34;", '"');
  const inputs = html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
  return Object.fromEntries([...inputs].map(([, name, value]) => [name, unescape(value)]));
}

async function send(page, path, fields) {
  const body = new URLSearchParams({ ...hidden(await page.text()), ...fields });
  const answer = await visit(path, { method: "POST", body });
  if (![200, 303].includes(answer.status)) throw new Error(`${path}: ${await answer.text()}`);
  return answer;
}

async function follow(page, path, fields) {
  return (await send(page, path, fields)).headers.get("location");
}

export async function allow(address) {
  let page = await visit(address);
  if (page.status === 303) {
    const form = await visit(page.headers.get("location"));
    const { USERNAME: username, PASSWORD: password } = process.env;
    page = await visit(await follow(form, "/sign-in", { username, password }));
  }
  return new URL(await follow(page, "/oauth/consent", { decision: "allow" }));
}

// Of a person who is signed in; the link fills the code in.
export async function allowDevice(address) {
  const user_code = new URL(address).searchParams.get("user_code");
  const page = await send(await visit(address), "/device", { user_code });
  await send(page, "/device/decision", { decision: "allow" });
}
