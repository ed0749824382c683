r"""HTTP/1.1 as two pure machines: one for the server's side of a connection, one for the client's.

Both follow :class:`netsuite.sansio.connection.Connection`. A server's events are requests, a client's are
responses (interim ones too); Data and End carry bodies. After a 2xx to CONNECT, or a 101, the same stream
becomes a tunnel: its Data is raw until End, and so is every Part until Finish, which closes.

::

    server:  head -> body -> (PAUSED while the answer is owed) -> head ...
                 \-> tunnel held until the answer -> raw -> close
    client:  request sent -> interim* -> head -> body -> idle ...

What is ambiguous is refused and the connection closed, never guessed.

Implements: RFC 9112 sections 2-9; RFC 9110 sections 6, 7.6.1, 7.8, 8.6, 9.3.2, 9.3.6, 10.1.1, 15.2 and 15.4.5
"""

from __future__ import annotations

from netsuite.http.wire.clientside import ClientConnection
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.serverside import ServerConnection

__all__ = ["ClientConnection", "Http1Limits", "ServerConnection"]
