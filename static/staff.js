// A part of a staff page that follows what others do: fetched again when the socket says so, and every few seconds.
"use strict";

const REST = 250; // milliseconds between two looks, however much the socket says
const ROUND = 5_000; // milliseconds between looks when it says nothing
const COME_BACK_AFTER = 3_000; // milliseconds
const DO_NOT_COME_BACK = (code) => code >= 4400 && code < 4500;

for (const part of document.querySelectorAll("[data-live]")) follow(part);

function follow(part) {
  let due = 0;
  const soon = () => {
    due ||= setTimeout(() => {
      due = 0;
      look(part);
    }, REST);
  };
  setInterval(() => document.hidden || soon(), Number(part.dataset.every) || ROUND);
  document.addEventListener("visibilitychange", () => document.hidden || soon());
  if (part.dataset.socket) listen(part.dataset.socket, soon);
}

function listen(path, hear) {
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}${path}`);
  socket.addEventListener("message", hear);
  socket.addEventListener("close", ({ code }) => {
    if (!DO_NOT_COME_BACK(code)) setTimeout(listen, COME_BACK_AFTER, path, hear);
  });
}

async function look(part) {
  const answer = await fetch(location.href, { headers: { "X-Fragment": "1" } }).catch(() => null);
  if (answer?.redirected) return location.assign(answer.url); // what was waited for, or the login
  if (!answer?.ok) return;
  const text = await answer.text();
  if (text === part.dataset.shown) return;
  part.dataset.shown = text;
  const open = [...part.querySelectorAll("details[open][id]")].map(({ id }) => id);
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.innerHTML = text;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
