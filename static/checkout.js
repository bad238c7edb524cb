/* What the customer's page does beyond htmx: it stays true when sockets, networks and phones do not.
   Without this script every page still works; the payment page then refreshes itself. */
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  // The page refreshes itself until a script shows that it runs. Taking the element away is not enough: only stop()
  // ends a refresh that is under way, and before `load` it would end the page's own loading as well.
  const refreshing = document.querySelector("meta[http-equiv=refresh]");
  refreshing?.remove();
  if (refreshing) addEventListener("load", () => stop());

  // Every page: one submit a form, copy, print ------------------------------------------------------------------

  const buttonOf = (form) => [...form.elements].find(({ type }) => type === "submit") ?? form;

  document.addEventListener("submit", ({ target }) => {
    if (!target.matches("[data-once]")) return;
    buttonOf(target).disabled = true;
    buttonOf(target).setAttribute("aria-busy", "true");
  });

  // A button that the server would refuse for some seconds more; another number may be tried at once.
  for (const button of document.querySelectorAll("[data-wait]")) {
    let until = Date.now() + button.dataset.wait * 1_000;
    const timer = setInterval(() => {
      const left = Math.ceil((until - Date.now()) / 1_000);
      button.disabled = left > 0;
      button.querySelector(".clock").textContent = left > 0 ? `· ${asClock(left)}` : "";
      if (left <= 0) clearInterval(timer);
    }, 250);
    button.form.addEventListener("input", () => (until = 0));
  }

  function asClock(seconds) {
    const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
    if (seconds >= 3_600) parts.unshift(Math.floor(seconds / 3_600));
    return parts.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
  }

  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-once]")) {
      buttonOf(form).disabled = false; // the browser's Back brings the page as it was left
      buttonOf(form).removeAttribute("aria-busy");
    }
    if (location.hash === "#phone_number") document.querySelector("#phone_number")?.select();
  });

  document.addEventListener("click", ({ target }) => {
    if (target.matches("[data-print]")) print();
    if (target.matches("[data-copy]")) copy(target);
  });

  function copy(button) {
    const selection = getSelection();
    selection.selectAllChildren(document.getElementById(button.dataset.copy));
    // The old command first: navigator.clipboard does not exist on plain http, such as a phone on the shop's LAN.
    if (document.execCommand("copy")) {
      button.textContent = button.dataset.done;
      say(button.dataset.done);
      selection.removeAllRanges();
    }
  }

  function say(words, region = "words") {
    const element = document.getElementById(region);
    if (element) element.textContent = words;
  }

  // The payment page --------------------------------------------------------------------------------------------

  const live = document.getElementById("live");
  if (!live) return;

  const DO_NOT_COME_BACK = [4400, 4403, 4404, 4429];
  const SILENCE = 35_000; // ms; the server pings every 15 s, and a cut network fires no close event
  const DOUBTFUL = 20_000; // ms without a word, after which a page that comes to the front connects anew
  const GRACE = 3_000; // ms that a socket may take before we poll
  const RETRY = 3_000; // ms between attempts while nothing answers
  const LONGEST_HOLD = 25; // s the server holds a poll at most

  // With the jitter of 30 % the longest pause is 4.5 s: every page is back within 5 s of the server.
  htmx.config.ws = {
    reconnectMaxDelay: 3_500,
    reconnectCodes: { includes: (code) => !DO_NOT_COME_BACK.includes(code) },
    pauseOnBackground: false,
  };

  const byHand = document.getElementById("by-hand");
  const payment = () => document.getElementById("payment");
  const version = () => Number(payment().dataset.version);
  const heading = () => payment().querySelector("h1").textContent;
  const afterHeading = document.title.slice(heading().length); // amount and shop
  const now = () => Date.now();

  let connection = null;
  let refused = false;
  let heardAt = 0; // when the socket last said anything; 0: not since it opened
  let attemptAt = now();
  let lostAt = now();

  const isLive = () => heardAt > 0 && now() - heardAt < SILENCE;

  // Nothing goes backwards: one guard, in the same breath as the swap, for socket and fetch alike ---------------

  const ORDER = { found: 0, sending: 0, waiting: 1, checking: 2, unheard: 3 };

  function isOlder(next, shown) {
    if (next.version !== shown.version) return Number(next.version) < Number(shown.version);
    if (shown.final === "true" && next.final === "false") return true;
    return (ORDER[next.state] ?? 4) < (ORDER[shown.state] ?? 4);
  }

  live.addEventListener("htmx:before:swap", (event) => {
    const next = event.detail.tasks.map((task) => task.fragment.querySelector("#payment")).find(Boolean);
    if (!next || isOlder(next.dataset, payment().dataset)) return event.preventDefault();
    // What comes for every watcher is masked; whoever typed the number goes on seeing it as typed.
    const typed = live.dataset.phone;
    if (typed) next.querySelectorAll(".phone").forEach((element) => (element.textContent = typed));
  });

  let painted = version();
  let told = words();
  live.addEventListener("htmx:after:swap", () => {
    startClocks();
    byHand.querySelector("#due").textContent = payment().dataset.due;
    if (version() !== painted) tellSeen();
    painted = version();
    if (words() === told) return;
    told = words();
    document.title = heading() + afterHeading;
    const paid = payment().dataset.state === "paid";
    byHand.open ||= payment().dataset.state === "not_paid";
    say(told, paid ? "alert" : "words");
    if (paid && navigator.userActivation?.hasBeenActive) navigator.vibrate?.(80);
  });

  function words() {
    return `${heading()}. ${payment().querySelector(".detail").textContent}`;
  }

  function tellSeen() {
    requestAnimationFrame(() => setTimeout(() => {
      const seen = version();
      if (connection?.socket?.readyState === WebSocket.OPEN) connection.socket.send(JSON.stringify({ seen }));
      else if (!polling) fetch(`${live.dataset.poll}&seen=${seen}`).catch(() => {}); // the last poll was the answer
    }));
  }

  // The socket --------------------------------------------------------------------------------------------------

  live.addEventListener("htmx:ws:before:connection", () => (attemptAt = now()));

  live.addEventListener("htmx:ws:after:connection", (event) => {
    connection = event.detail.connection;
    attemptAt = now();
    tellSeen();
  });

  live.addEventListener("htmx:ws:before:message:incoming", (event) => {
    heardAt = now();
    stopPolling();
    show();
    const text = event.detail.message.data;
    if (text.startsWith("{") && JSON.parse(text).version > version()) refresh();
  });

  live.addEventListener("htmx:ws:close", (event) => {
    if (DO_NOT_COME_BACK.includes(event.detail.code)) refused = true;
    if (isLive()) lostAt = now();
    heardAt = 0;
    show();
  });

  function reconnect() {
    if (refused || (!heardAt && now() - attemptAt < 1_000)) return; // Back fires two events that lead here
    attemptAt = now();
    // socket.close(4000) would be echoed as 1000 and end the extension's efforts; this is the way to start anew.
    htmx.process(live, true);
  }

  // The present fragment, whenever there is reason to think that it is newer -------------------------------------

  let wanted = 0;
  let loaded = 0;
  let loading = null;
  let loadedAt = 0;

  async function get(url, milliseconds, controller, headers = {}) {
    const timer = setTimeout(() => controller.abort(), milliseconds);
    try {
      const response = await fetch(url, { signal: controller.signal, headers });
      return { response, text: await response.text() };
    } finally {
      clearTimeout(timer);
    }
  }

  function refresh({ restart = false } = {}) {
    wanted += 1;
    if (restart) loading?.abort(); // it may hang in a network that is gone
    if (!loading || restart) load();
  }

  async function load() {
    const goal = wanted;
    const request = (loading = new AbortController());
    loadedAt = now();
    try {
      const { response, text } = await get(live.dataset.page, 8_000, request, { "HX-Request": "true" });
      if (!response.ok) return;
      await htmx.swap({ sourceElement: live, target: "#payment", swap: "outerMorph", text, transition: false });
      loaded = goal;
    } catch {
      // The clock below tries again.
    } finally {
      if (loading === request) loading = null;
      if (!loading && loaded === goal && wanted > goal) load();
    }
  }

  // Polling, while the socket is not proven alive; the server holds each poll until there is news -----------------

  let polling = null;
  let pollTimer = 0;
  let hold = 0; // s that the server may hold the next poll
  let pollAnswered = false;

  function startPolling() {
    if (!polling && payment().dataset.final === "false") poll();
  }

  function stopPolling() {
    polling?.abort();
    polling = null;
    pollAnswered = false;
    clearTimeout(pollTimer);
  }

  async function poll() {
    const request = (polling = new AbortController());
    const begun = now();
    const question = `&seen=${version()}` + (hold ? `&since=${version()}&wait=${hold}` : "");
    let pause = RETRY;
    try {
      const { response, text } = await get(live.dataset.poll + question, hold * 1_000 + 5_000, request);
      if (polling !== request || response.status === 404) return; // after a 404 nobody starts again
      const advice = (Number(response.headers.get("Retry-After")) || 3) * 1_000;
      pollAnswered = response.ok;
      hold = response.ok ? Math.min(LONGEST_HOLD, advice / 1_000) : 0;
      pause = response.ok ? Math.max(500, advice - (now() - begun)) : Math.max(RETRY, advice);
      if (response.ok) compare(JSON.parse(text));
    } catch {
      if (polling !== request) return;
      pollAnswered = false;
      hold = 0;
    }
    if (polling !== request) return; // the answer was final, and ended the polling
    show();
    pollTimer = setTimeout(poll, pause * (0.8 + Math.random() * 0.4));
  }

  function compare(news) {
    const shown = payment().dataset;
    const differs = news.status !== shown.status || String(news.final) !== shown.final;
    if (news.version > version() || (news.version === version() && differs)) refresh();
    if (news.final) stopPolling();
  }

  // Coming back: from another app, another page, another network --------------------------------------------------

  addEventListener("online", () => {
    refresh({ restart: true });
    reconnect();
    show();
  });
  addEventListener("offline", () => show());
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    refresh({ restart: true });
    reconnect(); // the extension closed its socket with 1000 when the page was left, and lets it rest
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    refresh({ restart: true });
    if (now() - heardAt > DOUBTFUL) reconnect();
  });
  live.addEventListener("click", (event) => {
    if (!event.target.matches("[data-refresh]")) return;
    event.preventDefault();
    refresh({ restart: true });
  });

  // Words about the connection, and the clocks --------------------------------------------------------------------

  let said = "";
  let backUntil = 0;

  function show() {
    const lost = now() - lostAt;
    const state = !navigator.onLine ? "offline" : isLive() ? "live" : pollAnswered ? "polling" : "reconnecting";
    if (root.dataset.connection === "offline" && state !== "offline") backUntil = now() + 3_000;
    root.dataset.connection = state;
    let words = state;
    if (state === "reconnecting") words = lost < 2_000 ? "" : lost < 20_000 ? "reconnecting" : "lost";
    else if (state !== "offline" && now() < backUntil) words = "back";
    if (words === said) return;
    said = root.dataset.says = words;
    if (["offline", "back", "lost"].includes(words)) say(live.querySelector(`[data-when=${words}]`).textContent);
  }

  const PROMPT_IS_LATE = 45; // s left of the minute that a prompt lives
  const clocksIn = (elements) =>
    [...elements].map((element) => {
      const seconds = Number(element.dataset.seconds ?? element.dataset.turns);
      return { element, until: now() + seconds * 1_000, warn: seconds > 20, over: false };
    });
  const stayingClocks = clocksIn(live.querySelectorAll(".help [data-seconds]"));
  let clocks = [];

  function startClocks() {
    clocks = [...stayingClocks, ...clocksIn(live.querySelectorAll("#payment [data-seconds], #payment[data-turns]"))];
    clocks.forEach(turn);
  }

  function turn(clock) {
    const left = Math.max(0, Math.ceil((clock.until - now()) / 1_000));
    const bar = clock.element.querySelector("progress");
    if (clock.element.dataset.seconds) clock.element.querySelector(".clock").textContent = asClock(left);
    if (bar) {
      bar.value = left;
      clock.element.classList.toggle("low", left <= 20);
      live.classList.toggle("slow", left <= PROMPT_IS_LATE);
      if (clock.warn && left <= 20 && left > 0) say(document.getElementById("words").dataset.low);
      if (left <= 20) clock.warn = false;
    }
    if (left > 0 || clock.over) return;
    clock.over = true;
    refresh(); // the server knows what zero means: never "failed"
  }

  setInterval(() => {
    clocks.forEach(turn);
    const silentFor = now() - Math.max(heardAt, attemptAt);
    if (silentFor > SILENCE) {
      if (heardAt) lostAt = now();
      heardAt = 0;
      reconnect();
    }
    if (!isLive() && now() - lostAt > GRACE) startPolling();
    if (wanted > loaded && !loading && now() - loadedAt > RETRY) load();
    show();
  }, 1_000);

  startClocks();
  show();
})();
