"""``--auth netsuite:DATA``: a declaration only, so that listing it imports nothing of netsuite."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(ICheckerFactory, IPlugin)
class _Users:
    authType = "netsuite"
    argStringFormat = "DATA"
    credentialInterfaces = (IUsernamePassword,)

    @property
    def authHelp(self) -> str:
        help_text: str = import_module("netsuite.suite.checkers").HELP
        return help_text

    def generateChecker(self, argstring: str) -> Any:
        return import_module("netsuite.suite.checkers").users_of(argstring)


users = _Users()
