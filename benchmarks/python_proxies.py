"""What the proxies that ours is compared with need to run: a route for proxy.py, a server of twisted.web."""

from __future__ import annotations

import os
import sys


def serve(port: int, origin: int) -> None:
    """twisted.web's reverse proxy before an origin."""
    from twisted.internet import reactor
    from twisted.web import proxy, server

    reactor.listenTCP(port, server.Site(proxy.ReverseProxyResource("127.0.0.1", origin, b"")), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
else:
    from proxy.http.server import ReverseProxyBasePlugin

    class Reverse(ReverseProxyBasePlugin):
        """Everything goes to the origin whose port the environment names."""

        def routes(self):
            """One route."""
            return [(r"/.*$", [f"http://127.0.0.1:{os.environ['BENCHMARK_ORIGIN']}".encode()])]
