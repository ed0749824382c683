"""twisted.web's own forward proxy, as ours is compared with it: ``python -m benchmarks.python_proxy PORT``."""

from __future__ import annotations

import sys
from typing import Any


def serve(port: int) -> None:
    """Run it."""
    from twisted.internet import reactor
    from twisted.web import http, proxy

    class Factory(http.HTTPFactory):
        protocol: Any = proxy.Proxy

    running: Any = reactor
    running.listenTCP(port, Factory(), interface="127.0.0.1")
    running.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
