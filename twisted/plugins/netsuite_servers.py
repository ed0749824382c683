"""The servers of netsuite as ``twistd`` plugins: declarations only, so that listing them imports nothing."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

site = ServiceMaker("netsuite", "netsuite.taps.site", "All servers of a site in one process (netsuite).", "netsuite")

dns = ServiceMaker("netsuite-dns", "netsuite.taps.dns", "Authoritative name server (netsuite).", "netsuite-dns")

resolver = ServiceMaker(
    "netsuite-resolver", "netsuite.taps.resolver", "Caching, iterative name server (netsuite).", "netsuite-resolver"
)

upper = ServiceMaker(
    "netsuite-upper", "netsuite.taps.upper", "Upper-case servers of the textbook (netsuite).", "netsuite-upper"
)
