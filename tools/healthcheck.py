"""Exit with 0 when the server in this container is ready: Docker asks so every few seconds."""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit


def main() -> int:
    port = int(os.environ.get("PORT") or 8000)
    # As the public would: with other names the server does not answer.
    host = urlsplit(os.environ.get("PUBLIC_BASE_URL", "")).netloc or f"127.0.0.1:{port}"
    server = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    server.request("GET", "/readyz", headers={"Host": host})
    return 0 if server.getresponse().status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
