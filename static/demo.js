/* The demo: follows whatever payment the shop's frame shows, watches it in four ways, and hurts its network.
   Every figure is measured here, on this payment; the clock starts when the simulator says that its callback left. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const shop = byId("shop");
  const phone = byId("phone");
  const words = byId("words").dataset; // in the reader's language
  const now = () => Date.now();
  const PAYMENT = /^\/payments\/([0-9a-f-]{36})\/$/;

  async function call(method, path, body, headers = {}) {
    const options = { method, headers: { "Content-Type": "application/json", ...headers }, cache: "no-store" };
    const answer = await fetch(path, body ? { ...options, body: JSON.stringify(body) } : options);
    return { ok: answer.ok, body: await answer.json().catch(() => null) };
  }

  // The network of the shop's frame; static/demo-network.js in there asks this object ---------------------------------

  const demo = (window.papoDemo = { blocked: false, offline: false, network: null });
  const sayNetwork = (text) => (byId("network-words").textContent = text);
  const state = () => (demo.offline ? words.offline : demo.blocked ? words.blocked : words.unhurt);

  byId("kill").addEventListener("click", () => {
    const open = demo.network?.sockets ?? 0;
    demo.network?.kill();
    sayNetwork(open ? words.killed : words.noSocket);
  });

  byId("block").addEventListener("click", ({ target }) => {
    demo.blocked = !demo.blocked;
    target.setAttribute("aria-pressed", demo.blocked);
    if (demo.blocked) demo.network?.kill();
    sayNetwork(state());
  });

  byId("offline").addEventListener("click", ({ target }) => {
    target.disabled = demo.offline = true;
    demo.network?.say("offline");
    sayNetwork(state());
    setTimeout(() => {
      target.disabled = demo.offline = false;
      demo.network?.say("online");
      sayNetwork(state());
    }, 10_000);
  });

  // What the next payment meets ---------------------------------------------------------------------------------------

  const menus = [...document.querySelectorAll("[data-plan]")];

  function plan() {
    return call("POST", "/simulator/api/default/", Object.fromEntries(menus.map(({ dataset, value }) => [dataset.plan, value])));
  }
  for (const menu of menus) menu.addEventListener("change", plan);
  plan(); // what an earlier visit chose is not what the menus show

  // The race ----------------------------------------------------------------------------------------------------------

  const sayRace = (text) => (byId("race-words").textContent = text);
  const sums = { page: [], socket: [], fast: [], slow: [] };
  let race = null;

  class Lane {
    constructor(name) {
      this.row = byId(`lane-${name}`);
      this.name = name;
      this.requests = 0;
      this.doneAt = 0;
    }

    count(more = 1) {
      this.requests += more;
    }

    done() {
      this.doneAt ||= now();
    }

    show(zero) {
      const delay = zero ? Math.max(0, (this.doneAt || now()) - zero) : null;
      const shown = delay === null ? words.waiting : delay < 1_000 ? `${Math.round(delay)} ms` : `${(delay / 1_000).toFixed(1)} s`;
      this.row.className = this.doneAt && zero ? "done" : "running";
      this.row.querySelector("progress").value = delay ?? 0;
      this.row.querySelector(".delay").textContent = shown;
      this.row.querySelector(".requests").textContent = this.requests;
      return delay;
    }
  }

  class Race {
    constructor(id, number) {
      Object.assign(this, { id, number, zero: 0, over: false, timers: [] });
      this.lanes = { page: new Lane("page"), socket: new Lane("socket"), fast: new Lane("fast"), slow: new Lane("slow") };
      this.watchPage();
      this.watchSocket();
      this.poll(this.lanes.fast, 3_000);
      this.poll(this.lanes.slow, 10_000);
      this.timers.push(setInterval(() => this.tick(), 100), setInterval(() => this.findZero(), 500));
    }

    watchPage() {
      const frame = shop.contentWindow;
      const timing = frame.performance;
      const seen = () => frame.document.getElementById("payment")?.dataset.status;
      const requests = () => timing.getEntriesByType("resource").filter(({ name }) => name.includes("/payments/")).length;
      const look = () => {
        if (this.over || shop.contentWindow !== frame) return;
        this.lanes.page.requests = requests() + 1; // the socket is the one that this list does not know
        if (seen() && seen() !== "PENDING") frame.requestAnimationFrame(() => frame.setTimeout(() => this.lanes.page.done()));
        else frame.requestAnimationFrame(look);
      };
      look();
    }

    watchSocket() {
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}/ws/payments/${this.id}/?format=json`);
      this.lanes.socket.count();
      socket.addEventListener("message", ({ data }) => {
        if ((JSON.parse(data).status ?? "PENDING") === "PENDING") return;
        this.lanes.socket.done();
        socket.close();
      });
      this.socket = socket;
    }

    poll(lane, every) {
      const ask = async () => {
        lane.count();
        const { body } = await call("GET", `/payments/status/?transaction_id=${this.id}`).catch(() => ({}));
        if (body && body.status !== "PENDING") {
          lane.done();
          clearInterval(timer);
        }
      };
      const timer = setInterval(ask, every);
      this.timers.push(timer);
      ask();
    }

    // The simulator's own record: when it posted the first callback, or, when none left, when the phone answered.
    async findZero() {
      if (!this.number || this.over) return;
      const { body } = await call("GET", `/simulator/api/phones/${this.number}/`).catch(() => ({}));
      const prompt = body?.prompts?.[0];
      if (!prompt?.outcome) return;
      byId("pay").disabled = true;
      this.zero = (prompt.called_back_at ?? prompt.settled_at) * 1_000;
    }

    tick() {
      const lanes = Object.values(this.lanes);
      for (const lane of lanes) lane.show(this.zero);
      if (this.zero && lanes.every(({ doneAt }) => doneAt)) this.finish();
    }

    finish() {
      this.stop();
      for (const lane of Object.values(this.lanes)) {
        const results = sums[lane.name];
        results.push(lane.show(this.zero));
        const mean = results.reduce((sum, delay) => sum + delay, 0) / results.length;
        lane.row.querySelector(".average").textContent = mean < 1_000 ? `${Math.round(mean)} ms` : `${(mean / 1_000).toFixed(1)} s`;
      }
      const count = sums.page.length;
      byId("races").textContent = count === 1 ? words.average : words.averages.replace("{count}", count);
      sayRace(words.known);
    }

    stop() {
      this.over = true;
      this.timers.forEach(clearInterval);
      this.socket.close();
      byId("pay").disabled = true;
    }
  }

  // Follow the shop's frame: its payment is the one that is raced, its phone the one that is shown -----------------------

  function follow() {
    const { location: address, document: page } = shop.contentWindow;
    const id = PAYMENT.exec(address.pathname)?.[1];
    if (!id || race?.id === id) return;
    const typed = page.querySelector("#live")?.dataset.phone || chosen;
    const digits = (typed ?? "").replace(/\D/g, "").slice(-9);
    const number = digits.length === 9 ? `254${digits}` : "";
    race?.stop();
    if (page.getElementById("payment")?.dataset.status !== "PENDING") return;
    if (number && !phone.contentWindow.location.pathname.includes(number)) phone.src = `/simulator/phone/${number}/`;
    byId("pay").disabled = !number;
    sayRace(words.watching);
    race = new Race(id, number);
  }
  shop.addEventListener("load", follow);
  phone.addEventListener("load", () => {
    const handset = phone.contentDocument.getElementById("handset");
    if (handset) phone.contentWindow.scrollTo(0, handset.offsetTop); // a #fragment would scroll this page as well
  });

  // A payment without a click: a basket, a phone of its own, and the request -----------------------------------------------

  let chosen = "";

  byId("start").addEventListener("click", async ({ target }) => {
    target.disabled = true;
    const random = crypto.getRandomValues(new Uint32Array(1))[0] % 100_000_000;
    chosen = `07${String(random).padStart(8, "0")}`;
    try {
      const order = await call("POST", "/api/orders/", { items: [{ sku: "kiondo", quantity: 1 }] });
      if (!order.ok) return sayRace(order.body?.detail ?? words.noOrder);
      phone.src = `/simulator/phone/254${chosen.slice(1)}/`;
      const push = await call("POST", "/payments/stk-push/", { order_id: order.body.order_id, phone_number: chosen });
      const id = push.body?.transaction_id;
      if (id) shop.src = `/payments/${id}/`;
      else sayRace(push.body?.detail ?? words.noRequest);
    } finally {
      target.disabled = false;
    }
  });

  byId("pay").addEventListener("click", ({ target }) => {
    target.disabled = true;
    if (race?.number) call("POST", `/simulator/api/phones/${race.number}/answer/`, { pin: "1234" });
  });
})();
