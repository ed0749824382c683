"""The servers of netsuite as ``twistd`` plugins: declarations only, so that listing them imports nothing."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

site = ServiceMaker("netsuite", "netsuite.taps.site", "All servers of a site in one process (netsuite).", "netsuite")

dns = ServiceMaker("netsuite-dns", "netsuite.taps.dns", "Authoritative name server (netsuite).", "netsuite-dns")

resolver = ServiceMaker(
    "netsuite-resolver", "netsuite.taps.resolver", "Caching name server (netsuite).", "netsuite-resolver"
)

http = ServiceMaker("netsuite-http", "netsuite.taps.http", "HTTP server for a folder (netsuite).", "netsuite-http")

proxy = ServiceMaker("netsuite-proxy", "netsuite.taps.proxy", "Caching HTTP proxy (netsuite).", "netsuite-proxy")

ftp = ServiceMaker("netsuite-ftp", "netsuite.taps.ftp", "FTP server for a folder (netsuite).", "netsuite-ftp")

upper = ServiceMaker(
    "netsuite-upper", "netsuite.taps.upper", "Upper-case servers of the textbook (netsuite).", "netsuite-upper"
)

mail = ServiceMaker(
    "netsuite-mail", "netsuite.taps.mail", "Mail store, read by IMAP and POP3 (netsuite).", "netsuite-mail"
)

smtp = ServiceMaker(
    "netsuite-smtp", "netsuite.taps.smtp", "Mail relay with a durable queue (netsuite).", "netsuite-smtp"
)

peer = ServiceMaker(
    "netsuite-peer", "netsuite.taps.peer", "BitTorrent peer with a progress bar (netsuite).", "netsuite-peer"
)

tracker = ServiceMaker(
    "netsuite-tracker", "netsuite.taps.tracker", "BitTorrent tracker (netsuite).", "netsuite-tracker"
)

admin = ServiceMaker(
    "netsuite-admin", "netsuite.taps.admin", "Metrics, health and a live page (netsuite).", "netsuite-admin"
)
