"""Random zones that any name server can load, dense enough that names meet cuts, wildcards, aliases and one another."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["QUERY_TYPES", "owners", "random_owner", "random_zone", "zone_texts"]

QUERY_TYPES = ("A", "AAAA", "NS", "CNAME", "MX", "TXT", "SOA", "DS", "SRV", "TYPE65280")
_LABELS = ("a", "b", "c", "*")


def random_owner(rng, *, wild=True):
    """Up to three labels of a small alphabet, each with its dot; empty for the zone's own name."""
    labels = _LABELS if wild else _LABELS[:3]
    return "".join(rng.choice(labels) + "." for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))


def random_zone(rng, *, dname=True, others=()):
    """A master file for example.test with up to twenty RRsets beside SOA and NS, nothing in conflict.

    Some of its aliases lead into ``others``, zones of the same server.
    """
    lines = ["$ORIGIN example.test.", "$TTL 300", "@ SOA ns host 1 7200 3600 1209600 60", "@ NS ns", "ns A 192.0.2.1"]
    taken = {"": "own", "ns.": "data"}
    for _ in range(rng.randrange(1, 20)):
        owner = random_owner(rng)
        kind = rng.choice(("data", "data", "data", "cut", "alias", "dname" if dname else "data"))
        # Wildcard delegations and DNAMEs have no meaning that servers agree on (RFC 4592 section 4).
        if kind in ("cut", "dname") and "*" in owner:
            kind = "data"
        if owner in taken and (taken[owner], kind) not in (("data", "data"), ("own", "data"), ("cut", "cut")):
            continue
        # What lies below a DNAME must not be there.
        if any(other != owner and owner.endswith(other) for other, what in taken.items() if what == "dname"):
            continue
        if kind == "dname" and any(other != owner and other.endswith(owner) for other in taken):
            continue
        taken.setdefault(owner, kind)
        name = owner.rstrip(".") or "@"
        target = random_owner(rng, wild=False).rstrip(".") or "@"
        if others and kind in ("alias", "dname") and rng.random() < 0.3:
            target = random_owner(rng, wild=False) + rng.choice(others)
        if kind == "alias":
            lines.append(f"{name} CNAME {target}")
        elif kind == "dname":
            lines.append(f"{name} DNAME {rng.choice((target, 'elsewhere.test.'))}")
        elif kind == "cut":
            inside = rng.choice((f"ns.{name}", f"ns.{name}", target, "ns.elsewhere.test."))
            lines.append(f"{name} NS {inside}")
            if inside == f"ns.{name}":
                lines.append(f"{inside} A 192.0.2.{rng.randrange(256)}")
        elif rng.random() < 0.03:
            lines += [f"{name} AAAA 2001:db8::{number:x}" for number in range(2, rng.choice((20, 60)))]
        else:
            data = rng.choice(
                (
                    f"A 192.0.2.{rng.randrange(256)}",
                    "AAAA 2001:db8::1",
                    f"MX 10 {target}",
                    'TXT "text"',
                    f"SRV 1 2 3 {target}",
                )
            )
            lines.append(f"{name} {data}")
    return "\n".join(lines) + "\n"


def zone_texts():
    """Zones as a hypothesis strategy."""
    return st.randoms(use_true_random=False).map(random_zone)


def owners():
    """Owners as a hypothesis strategy."""
    return st.randoms(use_true_random=False).map(random_owner)
