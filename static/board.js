/* The live board: what the server pushes goes into the page four times a second at most, and nowhere else than where
   it changed. Without a socket it polls; without this script the page is whole and reloads itself. */
(() => {
  "use strict";
  const board = document.getElementById("board");
  if (!board) return;

  const PAINT = 250; // ms at least between two paints
  const MOST_ROWS = 200;
  const MOST_WAITING = 500; // rows held back while the list stands still; older ones would be pushed out anyway
  const POLL = 5_000;
  const GRACE = 3_000; // ms that a socket may take before we poll
  const SILENCE = 35_000; // ms; the server pings every 15 s, and a cut network fires no close event
  const TYPING = 2_000; // ms after a key in which the list stands still
  const QUIET = 10_000; // ms between two sounds or notices
  const DO_NOT_COME_BACK = [4400, 4403, 4404, 4429];

  const byId = (id) => document.getElementById(id);
  const feed = byId("feed");
  const list = feed?.closest(".list");
  const ahead = Number(board.dataset.now) - Date.now(); // of our clock; ages are the server's
  const now = () => Date.now();
  let cursor = board.dataset.cursor;

  // Painting ------------------------------------------------------------------------------------------------------

  const rows = new Map(); // id → the newest row that waits to be painted
  const seen = new Map(); // id of a row → when its customer saw the end
  const panels = new Map(); // id → the newest panel
  let paintTimer = 0;
  let paintedAt = 0;

  function take(text) {
    const template = document.createElement("template");
    template.innerHTML = text;
    for (const part of template.content.children) {
      if (part.id === "news") takeNews(part);
      else if (part.id === "seen") takeSeen(part);
      else if (part.id) panels.set(part.id, part);
    }
    paintSoon();
  }

  function takeNews(news) {
    cursor = news.dataset.cursor;
    for (const row of news.querySelectorAll("tr")) {
      rows.delete(row.id); // to the end: the oldest are let go first
      rows.set(row.id, row);
    }
    keepNewest(rows);
  }

  function takeSeen(part) {
    for (const { dataset, textContent } of part.querySelectorAll("tr")) seen.set(dataset.row, textContent);
    keepNewest(seen);
  }

  function keepNewest(waiting) {
    while (waiting.size > MOST_WAITING) waiting.delete(waiting.keys().next().value);
  }

  function paintSoon() {
    paintTimer ||= setTimeout(paint, Math.max(0, paintedAt + PAINT - performance.now()));
  }

  async function paint() {
    paintTimer = 0;
    paintedAt = performance.now();
    board.dataset.paints = Number(board.dataset.paints) + 1;
    if (feed && !standsStill()) paintRows();
    tellWaiting();
    for (const [id, panel] of panels) {
      panels.delete(id);
      await paintPanel(id, panel);
    }
    tick();
    ring();
  }

  async function paintPanel(id, panel) {
    const shown = byId(id);
    if (!shown) return;
    for (const open of shown.querySelectorAll("details[open]")) {
      panel.querySelector(`#${open.id}`)?.setAttribute("open", "");
    }
    for (const time of panel.querySelectorAll("[data-ago]")) time.textContent = age(time.dataset.ago * 1_000);
    const text = panel.outerHTML;
    await htmx.swap({ sourceElement: board, target: `#${id}`, swap: "outerMorph", text, transition: false });
  }

  function paintRows() {
    for (const [id, row] of rows) paintRow(byId(id), row);
    rows.clear();
    for (const [id, words] of seen) {
      const cell = byId(id)?.querySelector(".seen");
      if (cell) write(cell, words);
    }
    seen.clear();
    while (feed.children.length > MOST_ROWS) feed.lastElementChild.remove();
  }

  function paintRow(shown, row) {
    if ("gone" in row.dataset) return shown?.remove();
    if (shown && Number(row.dataset.version) < Number(shown.dataset.version)) return;
    const changed = !shown || row.dataset.version !== shown.dataset.version;
    if (shown) morph(shown, row);
    else insert(row);
    if (!changed) return;
    const fresh = shown ?? row;
    fresh.classList.remove("fresh");
    requestAnimationFrame(() => fresh.classList.add("fresh"));
  }

  // Cell by cell: a cell that says the same is left alone, and with it focus and selection.
  function morph(shown, row) {
    for (const name of ["version", "at", "tone"]) shown.dataset[name] = row.dataset[name];
    [...row.cells].forEach((cell, number) => {
      const old = shown.cells[number];
      if (!("since" in cell.dataset) && old.innerHTML !== cell.innerHTML) old.innerHTML = cell.innerHTML;
    });
  }

  function insert(row) {
    const older = [...feed.children].find((other) => Number(other.dataset.at) <= Number(row.dataset.at));
    feed.insertBefore(row, older ?? null);
  }

  // Standing still: by the button, and while somebody points at, selects in, or types above the list ----------------

  const reasons = { button: false, hover: false, select: false };
  let typedAt = -TYPING;

  const standsStill = () => reasons.button || reasons.hover || reasons.select || performance.now() - typedAt < TYPING;

  function still(reason, on) {
    if (reasons[reason] === on) return;
    reasons[reason] = on;
    board.toggleAttribute("data-paused", reasons.button);
    if (!standsStill() && rows.size + seen.size) paintSoon();
  }

  // What comes twice, because nothing may be missed, is no news; nor is the leaving of a row that is not shown.
  function isNews(shown, row) {
    if ("gone" in row.dataset) return Boolean(shown);
    return !shown || Number(row.dataset.version) > Number(shown.dataset.version);
  }

  function tellWaiting() {
    const more = byId("more");
    if (!more) return;
    const waiting = [...rows].filter(([id, row]) => isNews(byId(id), row)).length;
    more.hidden = !waiting;
    byId("more-count").textContent = waiting;
  }

  list?.addEventListener("pointerenter", (event) => still("hover", event.pointerType === "mouse"));
  list?.addEventListener("pointerleave", () => still("hover", false));
  document.addEventListener("selectionchange", () => {
    const selection = getSelection();
    still("select", Boolean(feed && !selection.isCollapsed && feed.contains(selection.anchorNode)));
  });
  list?.addEventListener("input", () => (typedAt = performance.now()));
  byId("more")?.addEventListener("click", () => {
    paintRows();
    tellWaiting();
    tick();
  });
  byId("pause")?.addEventListener("click", ({ currentTarget: button }) => {
    still("button", !reasons.button);
    press(button, reasons.button);
    button.textContent = reasons.button ? button.dataset.on : button.dataset.off;
  });

  function press(button, on) {
    button.setAttribute("aria-pressed", on);
  }

  // The socket, and polls while it is not proven alive ----------------------------------------------------------------

  let socket = null;
  let heardAt = 0; // 0: not since it opened
  let lostAt = now();
  let attempts = 0;
  let retryTimer = 0;

  const isLive = () => heardAt > 0 && now() - heardAt < SILENCE;
  const isRefused = () => board.dataset.connection === "refused";

  function connect() {
    clearTimeout(retryTimer);
    if (isRefused()) return;
    const base = location.origin.replace(/^http/, "ws") + board.dataset.socket;
    const mine = (socket = new WebSocket(`${base}?${board.dataset.query}&cursor=${cursor}`));
    mine.onmessage = ({ data }) => {
      if (socket !== mine) return;
      heardAt = now();
      attempts = 0;
      stopPolling();
      show();
      if (!data.startsWith("{")) take(data);
    };
    mine.onclose = ({ code }) => socket === mine && lose(code);
  }

  function lose(code) {
    if (heardAt) lostAt = now();
    heardAt = 0;
    if (DO_NOT_COME_BACK.includes(code)) return refuse();
    show();
    attempts += 1;
    clearTimeout(retryTimer);
    retryTimer = setTimeout(connect, Math.min(3_500, 300 * 2 ** attempts) * (0.7 + Math.random() * 0.6));
  }

  function reconnect() {
    const old = socket;
    socket = null;
    old?.close();
    lose(0);
    connect();
  }

  function refuse() {
    stopPolling();
    board.dataset.connection = "refused";
  }

  let polling = false;
  let pollAnswered = false;
  let pollTimer = 0;
  let etag = "";

  function stopPolling() {
    polling = pollAnswered = false;
    clearTimeout(pollTimer);
  }

  async function poll() {
    polling = true;
    try {
      const url = `${location.pathname}?${board.dataset.query}&fragment=1&cursor=${cursor}`;
      const response = await fetch(url, { headers: etag ? { "If-None-Match": etag } : {}, signal: AbortSignal.timeout(8_000) });
      if (!polling) return;
      if (response.redirected || response.status === 403) return refuse();
      pollAnswered = response.ok || response.status === 304;
      if (response.ok) {
        etag = response.headers.get("ETag") ?? "";
        take(await response.text());
      }
    } catch {
      pollAnswered = false;
    }
    show();
    if (polling) pollTimer = setTimeout(poll, POLL);
  }

  function show() {
    if (isRefused()) return;
    board.dataset.connection = isLive() ? "live" : pollAnswered ? "polling" : "reconnecting";
  }

  addEventListener("online", reconnect);
  addEventListener("pageshow", ({ persisted }) => persisted && reconnect());
  addEventListener("pagehide", () => socket?.close());

  // Clocks --------------------------------------------------------------------------------------------------------

  function age(milliseconds) {
    const seconds = Math.max(0, Math.round((now() + ahead - milliseconds) / 1_000));
    if (seconds < 100) return `${seconds} s`;
    if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
    return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
  }

  function tick() {
    for (const cell of board.querySelectorAll("[data-since]")) write(cell, age(Number(cell.dataset.since)));
    for (const time of board.querySelectorAll("[data-ago]")) write(time, age(time.dataset.ago * 1_000));
  }

  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  // Ringing: the title always, sound and notices by choice ----------------------------------------------------------

  const title = document.title;
  let known = null;
  let rangAt = 0;
  let audio = null;

  function ring() {
    const attention = byId("attention");
    if (!attention) return;
    const count = Number(attention.dataset.count);
    document.title = count ? `(${count}) ${title}` : title;
    const keys = [...attention.querySelectorAll("[data-finding]")].map(({ dataset }) => dataset.finding);
    const isNew = known && keys.some((key) => !known.has(key));
    known = new Set(keys);
    if (!isNew || now() - rangAt < QUIET) return;
    rangAt = now();
    byId("words").textContent = attention.querySelector("h2").textContent;
    if (chosen("sound")) beep();
    if (chosen("notify")) notify(attention.querySelector("h2").textContent);
  }

  function chosen(name) {
    return byId(name)?.getAttribute("aria-pressed") === "true";
  }

  function beep() {
    if (audio?.state !== "running") return;
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    volume.gain.setValueAtTime(0.2, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.4);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.4);
  }

  function notify(words) {
    try {
      new Notification(byId("notify").dataset.new, { body: words, tag: "papo" });
    } catch {
      // Chrome on Android knows the name and refuses the call.
    }
  }

  function remember(name, on) {
    try {
      localStorage.setItem(`board.${name}`, on ? "1" : "");
    } catch {
      // A browser that keeps nothing: the choice lasts as long as the page.
    }
  }

  function remembered(name) {
    try {
      return localStorage.getItem(`board.${name}`) === "1";
    } catch {
      return false;
    }
  }

  function startAudio() {
    audio ??= new AudioContext();
    if (audio.state === "suspended") audio.resume();
  }

  byId("sound")?.addEventListener("click", ({ currentTarget: button }) => {
    press(button, !chosen("sound"));
    remember("sound", chosen("sound"));
    if (!chosen("sound")) return;
    startAudio();
    beep();
  });
  byId("notify")?.addEventListener("click", async ({ currentTarget: button }) => {
    const on = !chosen("notify") && window.Notification && (await Notification.requestPermission()) === "granted";
    press(button, Boolean(on));
    remember("notify", on);
  });
  // Browsers let a page make a sound only after somebody has touched it.
  addEventListener("pointerdown", () => chosen("sound") && startAudio());
  addEventListener("keydown", () => chosen("sound") && startAudio());

  // Keys ----------------------------------------------------------------------------------------------------------

  const keys = {
    "/": () => byId("q")?.focus(),
    p: () => byId("pause")?.click(),
    j: () => step(1),
    k: () => step(-1),
    "?": () => byId("help").showModal(),
  };

  function step(by) {
    const links = [...(feed?.querySelectorAll("a.code") ?? [])];
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    const writes = event.target.matches("input, select, textarea");
    if (writes || event.ctrlKey || event.metaKey || event.altKey || byId("help").open || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("keys")?.addEventListener("click", keys["?"]);

  // Begin ---------------------------------------------------------------------------------------------------------

  setInterval(() => {
    tick();
    if (heardAt && now() - heardAt > SILENCE) reconnect();
    if (!isLive() && !isRefused() && !polling && now() - lostAt > GRACE) poll();
    if (rows.size + seen.size && !standsStill()) paintSoon();
    show();
  }, 1_000);

  board.querySelector(".tools").hidden = false;
  for (const name of ["sound", "notify"]) if (byId(name)) press(byId(name), remembered(name));
  if (chosen("notify") && window.Notification?.permission !== "granted") press(byId("notify"), false);
  board.dataset.connection = "reconnecting";
  tick();
  ring();
  connect();
})();
