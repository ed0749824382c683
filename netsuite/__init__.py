"""The Internet's application layer as one family of Twisted servers.

Every family (``dns``, ``http``, ``upper`` ...) has the same rooms; they meet only
through :mod:`netsuite.interfaces` and are put together by :mod:`netsuite.suite`.
"""

__version__ = "0.1.0"
