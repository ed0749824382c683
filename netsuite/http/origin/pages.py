"""All sites of files of one server: the default one, and those that have hosts of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.http.hosts import HostTable
from netsuite.http.origin.changes import Changes
from netsuite.http.origin.files import Files
from netsuite.http.origin.permission import Permission
from netsuite.http.origin.settings import HttpSettings, SiteSettings
from netsuite.http.origin.sites import Elsewhere, Sites
from netsuite.http.origin.tree import Tree
from netsuite.interfaces import IHttpApplication

__all__ = ["Pages"]


class Pages:
    """What ``[http]`` and its ``[[http.site]]`` tables show; ``app`` is None where they have nothing.

    ``forget`` is called after each change of a file.
    """

    def __init__(
        self, settings: HttpSettings, commons: Commons, permission: Permission, forget: Callable[[], None]
    ) -> None:
        self.roots: list[Path] = []
        self._settings = settings
        self._commons = commons
        self._permission = permission
        self._forget = forget
        self._files: list[Files] = []
        self._changes: list[Changes] = []
        folders = (settings.root is not None) + sum(site.root is not None for site in settings.site)
        self._memory = settings.memory // 2 // max(1, folders)
        default = self._shown(settings.root, {}) if settings.root is not None else None
        sites: dict[str, IHttpApplication] = {}
        for each in settings.site:
            sites.update(dict.fromkeys(each.hosts, self._site(each)))
        self.app: IHttpApplication | None = Sites(default, HostTable(sites)) if sites else default

    def check(self) -> None:
        """The roots must be folders that can be read; raises StartError."""
        for root in self.roots:
            key = "http.root" if root == self._settings.root else "http.site.root"
            if not root.is_dir():
                raise StartError(f"{key}: {root} is not a folder; make it, or choose another with --root or {key}")
            if not os.access(root, os.R_OK | os.X_OK):
                raise StartError(f"{key}: {root} cannot be read; mend its permissions, or choose another")

    def clean(self) -> None:
        """Remove what broken uploads left behind."""
        for each in self._changes:
            each.uploads.clean()

    def stop(self) -> None:
        """End the threads."""
        for files in self._files:
            files.stop()
        for changes in self._changes:
            changes.uploads.close()

    def _site(self, site: SiteSettings) -> IHttpApplication:
        if site.redirect is not None:
            return Elsewhere(site.redirect)
        assert site.root is not None
        own = {name: getattr(site, name) for name in ("index", "listing", "max_age", "compress")}
        return self._shown(site.root, {name: value for name, value in own.items() if value is not None})

    def _shown(self, root: Path, own: dict[str, Any]) -> Files:
        settings, commons = self._settings, self._commons
        self.roots.append(root)
        changes = Changes(commons, Tree(root), self._permission, settings.upload_limit, self._changed)
        shared = {
            "index": settings.index,
            "listing": settings.listing,
            "max_age": settings.max_age,
            "compress": settings.compress,
            "types": settings.types,
            "memory": self._memory,
        }
        files = Files(commons, root, **{**shared, **own}, changes=changes if self._permission else None)
        self._files.append(files)
        self._changes.append(changes)
        return files

    def _changed(self) -> None:
        for files in self._files:
            files.forget()
        self._forget()
