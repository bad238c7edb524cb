// Refreshes what changes by itself, once a second; every form works without this script.
"use strict";

const main = document.querySelector("main[data-live]");
let etag = "", said = null, busy = false;

function promptIn(root) {
  const field = root.querySelector("#prompt [name=prompt]");
  return field ? field.value : "";
}

function focusedPath() {
  const at = document.activeElement;
  if (!at || !at.closest("#handset, #activity, #phones")) return null;
  if (at.id) return "#" + at.id;
  if (at.name) return `[name="${at.name}"][value="${at.value}"]`;
  return at.href ? `a[href="${at.getAttribute("href")}"]` : null;
}

function say() {
  const source = document.querySelector("[data-say]");
  const text = source ? source.dataset.say : "";
  if (said !== null && text && text !== said) document.getElementById("said").textContent = text;
  said = text;
}

function swap(html) {
  const focus = focusedPath();
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const same = promptIn(document) && promptIn(document) === promptIn(fresh);
  for (const part of [...fresh.body.children]) {
    const old = document.getElementById(part.id);
    // A prompt that is still the same keeps what was typed, and the word about it.
    if (old && !(same && part.id === "handset")) old.replaceWith(part);
  }
  if (focus && document.activeElement === document.body) (document.querySelector(focus) || main).focus({ preventScroll: true });
  say();
}

async function look() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch(main.dataset.live, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
    if (answer.status === 200) {
      const html = await answer.text();
      if (etag !== answer.headers.get("ETag")) swap(html);
      etag = answer.headers.get("ETag");
    }
    document.getElementById("stale").hidden = answer.status < 500;
  } catch {
    document.getElementById("stale").hidden = false;
  } finally {
    busy = false;
  }
}

// The keys of the pad post a form each without this script; with it they write into the field.
document.addEventListener("click", (event) => {
  const key = event.target.closest("button[name=key]");
  const pin = document.getElementById("pin");
  if (!key || !pin) return;
  event.preventDefault();
  pin.value = key.value === "back" ? pin.value.slice(0, -1) : (pin.value + key.value).slice(0, 4);
});

document.addEventListener("visibilitychange", look);
window.addEventListener("pageshow", (event) => { if (event.persisted) look(); });
if (main) {
  say();
  look();
  setInterval(look, 1000);
}
