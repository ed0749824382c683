"""``secure:`` and ``shared:`` endpoint strings: declarations only, so that listing them imports nothing of netsuite."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin, IStreamServerEndpointStringParser)
class _Parser:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module("netsuite.common.endpoints"), self.prefix)(reactor, *args, **kwargs)


secure = _Parser("secure")
shared = _Parser("shared")
