"use strict";

// Passkeys. Opens the browser's own dialog with a challenge of the hub, and sends what comes of it
// with the form around the button. Without this file everything else on the page works.

const CREATING = ["register", "sign_up"];
const CHALLENGE_LIVES = 4 * 60 * 1000; // a minute less than at the hub

const able =
  window.isSecureContext &&
  window.PublicKeyCredential &&
  typeof PublicKeyCredential.parseCreationOptionsFromJSON === "function" &&
  typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function";

let autofill = null; // the request that waits behind the name field

async function options(form) {
  const body = new URLSearchParams(new FormData(form));
  body.set("purpose", form.dataset.passkey);
  const answer = await fetch("/passkeys/challenge", { method: "POST", body });
  if (answer.redirected) {
    window.location.assign(answer.url);
    return new Promise(() => {}); // the page goes away
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail);
  return CREATING.includes(form.dataset.passkey)
    ? PublicKeyCredential.parseCreationOptionsFromJSON(said)
    : PublicKeyCredential.parseRequestOptionsFromJSON(said);
}

function send(form, credential) {
  form.elements.credential.value = JSON.stringify(credential);
  form.submit();
}

function words(error) {
  if (error.name === "NotAllowedError") return "No passkey was chosen. Try again when you like.";
  if (error.name === "InvalidStateError") return "There is a passkey for this account on it already.";
  return error.message;
}

async function ask(form) {
  const problem = form.querySelector(".problem:last-child");
  const button = form.querySelector("button");
  problem.hidden = true;
  button.disabled = true;
  autofill?.abort();
  try {
    const publicKey = await options(form);
    const credential = CREATING.includes(form.dataset.passkey)
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey });
    send(form, credential);
  } catch (error) {
    problem.textContent = words(error);
    problem.hidden = false;
    button.disabled = false;
  }
}

// Passkeys among the names that the browser proposes (conditional mediation).
async function propose(form) {
  autofill?.abort();
  const mine = (autofill = new AbortController());
  try {
    const publicKey = await options(form);
    const signal = mine.signal;
    send(form, await navigator.credentials.get({ publicKey, signal, mediation: "conditional" }));
  } catch {
    // Nobody asked for it: the button tells what is wrong.
  }
}

async function proposeAt(field, form) {
  const possible = await PublicKeyCredential.isConditionalMediationAvailable?.();
  if (!possible) return;
  let since = Date.now();
  propose(form);
  field.addEventListener("focus", () => {
    if (Date.now() - since < CHALLENGE_LIVES) return;
    since = Date.now();
    propose(form);
  });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const note = document.createElement("p");
  note.className = "soft";
  if (window.location.origin !== form.dataset.origin) {
    note.textContent = `Passkeys work at ${form.dataset.origin} only.`;
    form.replaceWith(note);
  } else if (!able) {
    note.textContent = "This browser is too old for passkeys here.";
    form.replaceWith(note);
  } else {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask(form);
    });
    const field = document.querySelector("input[autocomplete~='webauthn']");
    if (field && form.dataset.passkey === "sign_in") proposeAt(field, form);
  }
}
