"""The pytest plugin: fixtures that give a test a running suite. Costs nothing until one is used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from netsuite.testing.site import RunningSite

__all__ = ["netsuite_session_site", "netsuite_site"]

Run = Callable[..., "RunningSite"]


@pytest.fixture
def netsuite_site() -> Iterator[Run]:
    """Runs sites until the test ends, each time it is called: ``netsuite_site({"http": {"root": "./pages"}})``.

    The arguments are those of :func:`netsuite.testing.site.site`; without any it is the built-in site.
    """
    yield from _sites()


@pytest.fixture(scope="session")
def netsuite_session_site() -> Iterator[Run]:
    """The same for fixtures that share a site among tests: what it runs lasts until the session ends."""
    yield from _sites()


def _sites() -> Iterator[Run]:
    from netsuite.testing.site import site

    with contextlib.ExitStack() as running:

        def run(*arguments: Any, **options: Any) -> RunningSite:
            return running.enter_context(site(*arguments, **options))

        yield run
