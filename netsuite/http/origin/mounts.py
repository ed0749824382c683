"""Applications of the operator's, found by name and put under a path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.http.origin.settings import MountSettings
from netsuite.interfaces import IHttpApplication

__all__ = ["Mount", "load"]


def load(name: str) -> Any:
    """What ``FILE.py:NAME`` or ``MODULE:NAME`` is; raises StartError. Loading runs its code."""
    where, _, attribute = name.rpartition(":")
    try:
        if where.endswith(".py"):
            path = Path(where)
            specification = importlib.util.spec_from_file_location(f"netsuite_mounted_{path.stem}", path)
            assert specification is not None
            assert specification.loader is not None
            module = importlib.util.module_from_spec(specification)
            sys.modules[module.__name__] = module
            specification.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
    except Exception as error:
        raise StartError(f"http.mount.app: {name} cannot be loaded ({type(error).__name__}: {error})") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise StartError(f"http.mount.app: there is no {attribute} in {where}") from None


class Mount:
    """One ``[[http.mount]]``; ``app`` stands once it was loaded."""

    def __init__(self, settings: MountSettings, commons: Commons, body_limit: int) -> None:
        self.path = settings.path
        self._settings = settings
        self._commons = commons
        self._body_limit = body_limit
        self._stop: Callable[[], Deferred[None]] | None = None
        self._app: IHttpApplication | None = None

    @property
    def app(self) -> IHttpApplication:
        """The application."""
        self.load()
        assert self._app is not None
        return self._app

    def load(self) -> None:
        """Load it, unless it is; raises StartError."""
        if self._app is not None:
            return
        settings, commons = self._settings, self._commons
        found = load(settings.app)
        prefix = settings.path.rstrip("/").encode()
        if settings.kind == "wsgi":
            from netsuite.http.origin.wsgi import WsgiContainer

            if not callable(found):
                raise StartError(f"http.mount.app: {settings.app} is no WSGI application: it cannot be called")
            container = WsgiContainer(
                commons,
                found,
                prefix,
                threads=settings.threads,
                queue=settings.queue,
                body_limit=self._body_limit,
            )
            self._app, self._stop = container, container.stop
        elif settings.kind == "twisted":
            from netsuite.http.origin.resources import ResourceTree, as_resource

            self._app = ResourceTree(commons, as_resource(found, settings.app), prefix, body_limit=self._body_limit)
        else:
            self._app = found if hasattr(found, "handle") and not isinstance(found, type) else self._made(found)

    def stop(self) -> Deferred[None]:
        """End its threads."""
        return self._stop() if self._stop is not None else succeed(None)

    def _made(self, factory: Any) -> IHttpApplication:
        try:
            made = factory(self._commons)
        except Exception as error:
            raise StartError(
                f"http.mount.app: {self._settings.app} makes no application ({type(error).__name__}: {error})"
            ) from error
        if not hasattr(made, "handle"):
            raise StartError(f"http.mount.app: {self._settings.app} is no IHttpApplication: it has no handle")
        app: IHttpApplication = made
        return app
