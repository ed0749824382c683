"""A little Internet for tests: a root, a TLD and a site, as master files, each on an address of its own."""

from __future__ import annotations

ROOT, TLD, SITE, OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"

ZONES = {
    (ROOT, "."): f"""
$TTL 3600
@ SOA ns.root. host.root. 1 1800 900 604800 300
@ NS ns.root.
ns.root. A {ROOT}
test. NS ns.nic.test.
ns.nic.test. A {TLD}
""",
    (TLD, "test"): f"""
$TTL 3600
@ SOA ns.nic host.nic 1 1800 900 604800 300
@ NS ns.nic
ns.nic A {TLD}
example NS ns.example
ns.example A {SITE}
other NS ns.example
dead NS ns.dead
ns.dead A 127.0.0.99
loop NS ns.pool
pool NS ns.loop
""",
    (SITE, "example.test"): f"""
$TTL 300
@ SOA ns host 1 1800 900 604800 60
@ NS ns
@ MX 10 mail
ns A {SITE}
www A 192.0.2.80
www AAAA 2001:db8::80
mail A 192.0.2.25
alias CNAME www
away CNAME www.other.test.
gone CNAME nothing.other.test.
round CNAME about
about CNAME round
*.wild TXT "found"
a.b.c.d A 192.0.2.1
moved DNAME other.test.
big TXT {" ".join(f'"{letter * 250}"' for letter in "abcdefg")}
short 2 A 192.0.2.2
sub NS ns.sub
ns.sub A {OTHER}
""",
    (SITE, "other.test"): """
$TTL 300
@ SOA ns.example.test. host.example.test. 1 1800 900 604800 60
@ NS ns.example.test.
www A 192.0.2.81
""",
    (OTHER, "sub.example.test"): f"""
$TTL 300
@ SOA ns host 1 1800 900 604800 60
@ NS ns
ns A {OTHER}
www A 192.0.2.82
""",
}

HINTS = f". 3600 NS ns.root.\nns.root. 3600 A {ROOT}\n"

QUESTIONS = [
    ("www.example.test", "A"),
    ("www.example.test", "AAAA"),
    ("WWW.Example.TEST", "A"),
    ("example.test", "MX"),
    ("example.test", "NS"),
    ("example.test", "SOA"),
    ("alias.example.test", "A"),
    ("alias.example.test", "CNAME"),
    ("away.example.test", "A"),
    ("gone.example.test", "A"),
    ("x.wild.example.test", "TXT"),
    ("x.wild.example.test", "A"),
    ("a.b.c.d.example.test", "A"),
    ("b.c.d.example.test", "A"),
    ("nothing.example.test", "A"),
    ("below.nothing.example.test", "A"),
    ("www.moved.example.test", "A"),
    ("www.sub.example.test", "A"),
    ("nothing.sub.example.test", "A"),
    ("nothing.test", "A"),
    ("nothing.nowhere", "A"),
    ("big.example.test", "TXT"),
]


def write(folder):
    """The zones and hints as files; the ``[[dns.zone]]`` tables without their ``listen``, by address."""
    (folder / "hints").write_text(HINTS)
    tables = []
    for number, ((address, name), text) in enumerate(ZONES.items()):
        (folder / f"{number}.zone").write_text(text)
        tables.append((address, {"name": name, "file": str(folder / f"{number}.zone")}))
    return tables
