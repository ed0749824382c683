"""HTTP on the wire: messages, their syntax, HTTP/1.1 in both roles, HTTP/2 at the server; without I/O or clock."""

from __future__ import annotations

from netsuite.http.wire.http1 import ClientConnection, Http1Limits, ServerConnection
from netsuite.http.wire.messages import Fields, Ready, Request, Response

__all__ = ["ClientConnection", "Fields", "Http1Limits", "Ready", "Request", "Response", "ServerConnection"]
