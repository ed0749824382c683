"""MIME as IMAP and SEARCH need it: where everything in a message lies, and what its header says.

Nothing is decoded or changed on the way: a message stays the bytes that were stored, and parts are offsets into them.
"""

from __future__ import annotations

from netsuite.mail.mime.envelope import envelope
from netsuite.mail.mime.scan import Part, scan
from netsuite.mail.mime.section import Section, extract
from netsuite.mail.mime.structure import structure

__all__ = ["Part", "Section", "envelope", "extract", "scan", "structure"]
