"""HTTP/1.1 on the wire: messages, their syntax, and the machine for both roles; pure, without I/O or clock."""

from __future__ import annotations

from netsuite.http.wire.http1 import ClientConnection, Http1Limits, ServerConnection
from netsuite.http.wire.messages import Fields, Ready, Request, Response

__all__ = ["ClientConnection", "Fields", "Http1Limits", "Ready", "Request", "Response", "ServerConnection"]
