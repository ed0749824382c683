"""The users of a site for anything that speaks ``twisted.cred``."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from netsuite.common.errors import Unavailable
from netsuite.common.identity.errors import Throttled
from netsuite.common.identity.identity import Identity

__all__ = ["PasswordChecker"]


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Answers the canonical name as bytes. Credentials know no peer, so only names are throttled here."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """The canonical name; fails with UnauthorizedLogin, or LoginDenied if it cannot be checked now."""
        return Deferred.fromCoroutine(self._checked(credentials.username, credentials.password))

    async def _checked(self, name: Any, password: Any) -> bytes | tuple[()]:
        try:
            user = await self._identity.verify(_text(name), _text(password), "", "cred")
        except (Throttled, Unavailable) as error:
            raise LoginDenied(str(error)) from None
        except UnicodeDecodeError:
            user = None
        if user is None:
            raise UnauthorizedLogin("wrong name or password")
        return user.encode()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
