"""Users, passwords, SASL: who somebody is, for every protocol of a site."""

from __future__ import annotations

from netsuite.common.identity.authentication import Accepted, Authentication, Challenge, Outcome, Rejected
from netsuite.common.identity.errors import Refused, Throttled
from netsuite.common.identity.identity import Identity

__all__ = ["Accepted", "Authentication", "Challenge", "Identity", "Outcome", "Refused", "Rejected", "Throttled"]
