"""The textbook's client programs: every line of standard input goes to the server, the answer is printed."""

from __future__ import annotations

import random
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from netsuite.common.commons import Runtime
from netsuite.upper.client import TcpClient, UdpClient

_USAGE = "usage: python -m netsuite.upper tcp|udp HOST:PORT   (lines come from standard input)"


async def _converse(reactor: Any, kind: str, host: str, port: int) -> None:
    runtime = Runtime(reactor, reactor, random.SystemRandom())
    client: TcpClient | UdpClient
    if kind == "tcp":
        client = TcpClient(runtime)
        await client.connect(host, port)
    else:
        client = UdpClient(runtime, host, port)
    for line in sys.stdin.buffer:
        answer = await client.ask(line.rstrip(b"\r\n"))
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.flush()
    client.close()


def main(arguments: list[str]) -> None:
    """Run one client; exits with 2 on a wrong command line, 1 when the server does not answer."""
    host, _, port = arguments[1].rpartition(":") if len(arguments) == 2 else ("", "", "")
    if not host or not port.isdigit() or arguments[0] not in ("tcp", "udp"):
        sys.exit(_USAGE)

    def start(reactor: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(_converse(reactor, arguments[0], host.strip("[]"), int(port))).addErrback(
            lambda failure: sys.exit(f"upper: {failure.getErrorMessage()}")
        )

    react(start)


if __name__ == "__main__":
    main(sys.argv[1:])
