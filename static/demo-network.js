/* Inside a frame of the demo alone: a network that the demo's page can hurt. It stands before the shop's own script,
   which cannot tell it from the real thing: a killed socket closes with 1006, a blocked one never opens, and while the
   page is offline nothing comes or goes and no event says so. */
(() => {
  "use strict";
  const demo = parent.papoDemo;
  if (!demo) return;

  const RealSocket = window.WebSocket;
  const realFetch = window.fetch.bind(window);
  const sockets = new Set();

  class HurtSocket extends EventTarget {
    constructor(url, protocols) {
      super();
      this.url = url;
      this.readyState = RealSocket.CONNECTING;
      sockets.add(this);
      if (demo.blocked || demo.offline) {
        setTimeout(() => this.end(1006), 50);
        return;
      }
      this.real = new RealSocket(url, protocols ?? []);
      this.real.addEventListener("open", () => this.tell(new Event("open")));
      this.real.addEventListener("message", ({ data }) => this.tell(new MessageEvent("message", { data })));
      this.real.addEventListener("close", ({ code }) => this.end(code));
    }

    tell(event) {
      if (this.readyState === RealSocket.CLOSED || demo.offline) return;
      this.readyState = this.real.readyState;
      this.dispatchEvent(event);
    }

    send(data) {
      if (!demo.offline) this.real?.send(data);
    }

    close(code, reason) {
      this.readyState = RealSocket.CLOSING;
      if (this.real) this.real.close(code, reason);
      else this.end(1006);
    }

    end(code) {
      if (!sockets.delete(this)) return;
      this.readyState = RealSocket.CLOSED;
      this.dispatchEvent(new CloseEvent("close", { code, wasClean: code !== 1006 }));
    }
  }
  for (const name of ["CONNECTING", "OPEN", "CLOSING", "CLOSED"]) {
    HurtSocket[name] = HurtSocket.prototype[name] = RealSocket[name];
  }

  window.WebSocket = HurtSocket;
  window.fetch = (...request) => (demo.offline ? Promise.reject(new TypeError("offline")) : realFetch(...request));
  Object.defineProperty(navigator, "onLine", { get: () => !demo.offline });

  demo.network = {
    kill() {
      for (const socket of [...sockets]) {
        socket.real?.close();
        socket.end(1006);
      }
    },
    say: (name) => dispatchEvent(new Event(name)), // online, offline
    get sockets() {
      return [...sockets].filter(({ readyState }) => readyState === RealSocket.OPEN).length;
    },
  };
})();
