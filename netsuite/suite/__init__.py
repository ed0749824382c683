"""Composition: one site out of any set of servers, from a plugin, a ``.tac`` or a ``.tap`` file.

A ``.tac`` file says ``application = netsuite.suite.application("site.toml")``.
"""

from __future__ import annotations

from netsuite.suite.root import application

__all__ = ["application"]
