"""``reference/protocols.md``: which sections of which RFC stand where, from the modules' own ``Implements:`` lines."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

TITLES = {
    1034: "Domain names: concepts and facilities",
    1035: "Domain names: implementation and specification",
    1123: "Requirements for Internet hosts: application and support",
    1996: "DNS NOTIFY",
    2181: "Clarifications to the DNS specification",
    2308: "Negative caching of DNS queries",
    3492: "Punycode",
    3596: "DNS extensions to support IPv6",
    3597: "Handling of unknown DNS resource record types",
    3986: "Uniform Resource Identifier: generic syntax",
    4034: "Resource records for the DNS security extensions",
    4035: "Protocol modifications for the DNS security extensions",
    4343: "DNS case insensitivity clarification",
    4592: "The role of wildcards in the DNS",
    5001: "DNS name server identifier option",
    5280: "X.509 public key infrastructure: certificate and CRL profile",
    5452: "Measures for making DNS more resilient against forged answers",
    5861: "HTTP Cache-Control extensions for stale content",
    5936: "DNS zone transfer protocol",
    6125: "Identity within X.509 certificates in the context of TLS",
    6265: "HTTP state management mechanism",
    6303: "Locally served DNS zones",
    6585: "Additional HTTP status codes",
    6604: "RCODE and status bits clarification",
    6672: "DNAME redirection in the DNS",
    6761: "Special-use domain names",
    6891: "Extension mechanisms for DNS (EDNS(0))",
    7230: "HTTP/1.1: message syntax and routing",
    7239: "Forwarded HTTP extension",
    7301: "TLS application-layer protocol negotiation",
    7540: "HTTP/2",
    7541: "HPACK: header compression for HTTP/2",
    7616: "HTTP digest access authentication",
    7617: "The Basic HTTP authentication scheme",
    7766: "DNS transport over TCP: implementation requirements",
    7828: "The edns-tcp-keepalive EDNS0 option",
    7830: "The EDNS(0) padding option",
    7858: "DNS over TLS",
    7871: "Client subnet in DNS queries",
    7873: "Domain name system (DNS) cookies",
    8020: "NXDOMAIN: there really is nothing underneath",
    8109: "Initializing a DNS resolver with priming queries",
    8198: "Aggressive use of DNSSEC-validated cache",
    8246: "HTTP immutable responses",
    8297: "An HTTP status code for indicating hints",
    8446: "TLS 1.3",
    8482: "Minimal-sized responses to DNS queries of type ANY",
    8484: "DNS queries over HTTPS (DoH)",
    8499: "DNS terminology",
    8586: "Loop detection in content delivery networks",
    8767: "Serving stale data to improve DNS resiliency",
    8906: "A common operational problem in DNS servers: failure to communicate",
    8914: "Extended DNS errors",
    8941: "Structured field values for HTTP",
    9018: "Interoperable DNS server cookies",
    9110: "HTTP semantics",
    9111: "HTTP caching",
    9112: "HTTP/1.1",
    9156: "DNS query name minimisation",
    9209: "The Proxy-Status HTTP response header field",
    9210: "DNS transport over TCP: operational requirements",
    9211: "The Cache-Status HTTP response header field",
    9213: "Targeted HTTP cache control",
    9460: "Service binding via the DNS (SVCB and HTTPS)",
    9471: "DNS glue requirements in referral responses",
    9520: "Negative caching of DNS resolution failures",
    9651: "Structured field values for HTTP",
    9715: "IP fragmentation avoidance in DNS over UDP",
    9875: "HTTP cache groups",
    5077: "TLS session resumption without server-side state",
    5890: "Internationalized domain names for applications",
    6066: "TLS extensions: extension definitions",
    6698: "DNS-based authentication of named entities (TLSA)",
    6844: "DNS certification authority authorization",
    8659: "DNS certification authority authorization",
    2782: "A DNS RR for specifying the location of services",
    1982: "Serial number arithmetic",
    1995: "Incremental zone transfer in DNS",
    8305: "Happy Eyeballs version 2",
    6555: "Happy Eyeballs",
    1536: "Common DNS implementation errors",
    1870: "SMTP: message size declaration",
    1939: "Post Office Protocol, version 3",
    2034: "SMTP: enhanced error codes",
    2045: "MIME: format of message bodies",
    2046: "MIME: media types",
    2047: "MIME: header extensions for non-ASCII text",
    2177: "IMAP IDLE",
    2183: "The Content-Disposition header field",
    2231: "MIME parameter values and encoded words",
    2342: "IMAP NAMESPACE",
    2449: "POP3 extension mechanism",
    2595: "TLS with IMAP and POP3",
    2920: "SMTP: command pipelining",
    2971: "IMAP ID",
    3206: "SYS and AUTH response codes of POP3",
    3207: "SMTP over TLS: STARTTLS",
    3463: "Enhanced mail system status codes",
    3464: "Delivery status notifications",
    3501: "IMAP4rev1",
    3691: "IMAP UNSELECT",
    4315: "IMAP UIDPLUS",
    4422: "Simple Authentication and Security Layer (SASL)",
    4466: "Collected extensions to IMAP4 ABNF",
    4616: "The PLAIN SASL mechanism",
    4731: "IMAP ESEARCH",
    4954: "SMTP: authentication",
    4959: "IMAP: initial client response of SASL",
    5034: "POP3: SASL authentication",
    5161: "IMAP ENABLE",
    5321: "Simple Mail Transfer Protocol",
    5322: "Internet Message Format",
    5802: "SCRAM",
    6152: "SMTP: 8-bit MIME transport",
    6154: "IMAP SPECIAL-USE",
    6531: "SMTP: internationalized email",
    6851: "IMAP MOVE",
    6895: "DNS IANA considerations",
    7162: "IMAP CONDSTORE and QRESYNC",
    7505: "Null MX",
    7677: "SCRAM-SHA-256",
    7888: "IMAP non-synchronizing literals",
    9619: "In the DNS, QDCOUNT is (usually) one",
    959: "File Transfer Protocol (FTP)",
    1635: "How to use anonymous FTP",
    2389: "FTP: feature negotiation",
    2428: "FTP extensions for IPv6 and NATs",
    2577: "FTP security considerations",
    2640: "Internationalization of FTP",
    3659: "Extensions to FTP",
    4217: "Securing FTP with TLS",
    4918: "HTTP extensions for web distributed authoring and versioning (WebDAV)",
    6455: "The WebSocket protocol",
    7692: "Compression extensions for WebSocket",
    9530: "Digest fields",
}
"""Titles of the RFCs that our modules name."""

FAMILIES = {"sansio": "Building blocks", "common": "Common services", "dns": "DNS", "http": "HTTP", "upper": "Upper"}


class Claim(NamedTuple):
    """What one module says it implements of one document."""

    family: str
    module: str
    document: str
    sections: str


def _claims(module: str, docstring: str) -> list[Claim]:
    found = re.search(r"^Implements:\s*(.+)\Z", docstring.strip(), re.S | re.M)
    if not found:
        return []
    family = module.split(".")[1]
    claims = []
    for part in " ".join(found[1].split()).rstrip(".").split(";"):
        rfc = re.fullmatch(r"(?:and )?RFC (\d+)(?:,? sections? (.+))?", part.strip())
        document, sections = (f"RFC {rfc[1]}", rfc[2] or "") if rfc else (part.strip(), "")
        claims.append(Claim(family, module, document, sections))
    return claims


def claims(root: Path = ROOT) -> list[Claim]:
    """Every claim of every module of the package."""
    found = []
    for path in sorted((root / "netsuite").rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found += _claims(module, docstring)
    return found


def _link(document: str) -> str:
    rfc = re.fullmatch(r"RFC (\d+)", document)
    if not rfc:
        return document
    title = TITLES.get(int(rfc[1]))
    return f"[{document}](https://www.rfc-editor.org/rfc/rfc{rfc[1]})" + (f", {title}" if title else "")


def _order(document: str) -> tuple[int, str]:
    rfc = re.fullmatch(r"RFC (\d+)", document)
    return (int(rfc[1]) if rfc else 10**6, document)


def page(root: Path = ROOT) -> str:
    """The page as Markdown."""
    found = claims(root)
    lines = [
        "# Protocols",
        "",
        "*Made from the `Implements:` lines of the modules by `python -m docs._ext.generate`; do not edit.*",
        "",
        "What stands, document by document, and where. What is not listed is not implemented. A module named here is",
        "the place to read how a section was understood, and its tests show it at work.",
        "",
    ]
    for family in dict.fromkeys(claim.family for claim in found):
        lines += [f"## {FAMILIES.get(family, family)}", "", "| document | sections | module |", "|---|---|---|"]
        of_family = sorted((c for c in found if c.family == family), key=lambda c: (_order(c.document), c.module))
        shown = ""
        for claim in of_family:
            document = _link(claim.document) if claim.document != shown else ""
            shown = claim.document
            lines.append(f"| {document} | {claim.sections or 'all'} | `{claim.module}` |")
        lines.append("")
    return "\n".join(lines)
