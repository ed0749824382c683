"""The attacks on authoritative servers that are known, what must hold against each, and the tests that show it.

``python -m tests.vectors.dns_defences`` writes docs/reference/dns-defences.md.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "dns-defences.md"

UNIT, INTEGRATION = "tests/unit/dns", "tests/integration/dns"
SERVER, TENDED = f"{INTEGRATION}/test_authoritative.py", f"{INTEGRATION}/test_tended.py"
DEFENCES, SERVICE, ANSWERS = f"{UNIT}/test_defences.py", f"{UNIT}/test_service.py", f"{UNIT}/test_answers.py"
QUERY, STREAM, TSIG = f"{UNIT}/test_query.py", f"{UNIT}/test_stream.py", f"{UNIT}/test_tsig.py"
TRANSFER, CATALOGS = f"{UNIT}/test_transfer.py", f"{INTEGRATION}/test_catalogs.py"
AMPLIFICATION, WIRE = "tests/vectors/test_dns_amplification.py", "tests/properties/dns/test_wire.py"


class Row(NamedTuple):
    """A kind of attack, what holds, and where that is tested: a file and names of tests in it."""

    attack: str
    holds: str
    tests: tuple[tuple[str, tuple[str, ...]], ...]


ROWS = (
    Row(
        "reflection and amplification",
        "Bytes out for a byte in are bounded for every kind of question and zone.",
        ((AMPLIFICATION, ("test_answers_are_bounded_and_the_page_is_current",)),),
    ),
    Row(
        "reflection: floods of forged queries",
        "Answers over UDP are limited for the host and four networks around it; beyond that they are dropped or no "
        "longer than the query; a valid cookie is exempt, and TCP is not counted.",
        (
            (AMPLIFICATION, ("test_beyond_the_rate_nothing_grows_but_for_those_who_show_a_cookie",)),
            (
                SERVICE,
                (
                    "test_answers_to_one_network_are_limited",
                    "test_networks_have_a_multiple_of_what_a_host_has",
                    "test_the_rate_is_limited_by_default_except_on_loopback",
                ),
            ),
            ("tests/properties/dns/test_batches.py", ("test_batches_answer_as_one_by_one",)),
        ),
    ),
    Row(
        "ANY and RRSIG as amplifiers (RFC 8482)",
        "Over UDP they get one RRset, and signatures of one type.",
        (
            (ANSWERS, ("test_any_over_udp_gets_one_rrset_and_over_tcp_all",)),
            (AMPLIFICATION, ("test_answers_are_bounded_and_the_page_is_current",)),
        ),
    ),
    Row(
        "fragments (CVE-2025-59024)",
        "No answer over UDP exceeds 1,232 bytes, and no ICMP message makes us send fragments.",
        (
            (ANSWERS, ("test_udp_answers_are_cut_at_whole_rrsets",)),
            (DEFENCES, ("test_nobody_else_says_how_large_our_packets_are",)),
        ),
    ),
    Row(
        "header garbage (CVE-2026-42389)",
        "Answers and runts get silence, so that two servers never talk to one another; other opcodes, counts and "
        "bits get the one right answer.",
        (
            (QUERY, ("test_silence", "test_refusals")),
            (WIRE, ("test_damaged_queries_never_raise_and_get_a_readable_answer",)),
            ("tests/vectors/test_dns_probes.py", ("test_every_probe_gets_the_one_right_answer",)),
            (SERVER, ("test_noise_does_no_harm",)),
        ),
    ),
    Row(
        "cookies: forged, replayed, another's (CVE-2026-54478)",
        "A cookie is good for the address that it was made for, for an hour; nothing else exempts from rates.",
        (
            (
                f"{UNIT}/test_cookies.py",
                ("test_what_proves_nothing_gets_a_new_one", "test_ipv6_and_a_changed_secret", "test_time_goes_round"),
            ),
        ),
    ),
    Row(
        "option parsing (CVE-2026-33262, CVE-2026-41292)",
        "Options fill their record exactly and are at most 32; a cookie of a wrong length is FORMERR.",
        (
            (DEFENCES, ("test_options_are_few_and_whole",)),
            (f"{UNIT}/test_cookies.py", ("test_lengths_that_no_cookie_has",)),
            ("tests/properties/dns/test_prompt.py", ("test_queries_with_options_are_answered_alike",)),
        ),
    ),
    Row(
        "KeyTrap's kind: costly denial (CVE-2023-50868)",
        "Hashes for a denial do not grow with the labels asked for; more than 100 iterations are not done.",
        (
            (
                DEFENCES,
                (
                    "test_a_name_of_many_labels_costs_no_more_hashes",
                    "test_hashing_more_than_is_reasonable_is_not_done",
                ),
            ),
        ),
    ),
    Row(
        "compression and record bombs (CVE-2024-8508, CVE-2024-1737)",
        "Pointers go backwards and make no long chains; what others bring to a name is bounded; what no message can "
        "hold is truncated.",
        (
            (f"{UNIT}/test_name.py", ("test_bad_bytes", "test_a_chain_of_pointers_cannot_exceed_a_name")),
            (ANSWERS, ("test_pointers_do_not_form_long_chains", "test_what_no_message_can_hold_is_cut_on_streams_too")),
            (f"{UNIT}/test_crowding.py", ("test_records_and_types_at_a_name_are_bounded",)),
            (TENDED, ("test_what_an_update_may_bring_to_a_name_is_bounded",)),
        ),
    ),
    Row(
        "chains and loops of aliases",
        "A chain ends after twelve aliases, a loop where it closes, a DNAME at a name's length.",
        (
            (
                ANSWERS,
                ("test_a_long_chain_ends", "test_authoritative_answers", "test_a_dname_that_makes_too_long_a_name"),
            ),
        ),
    ),
    Row(
        "updates, notifications and transfers in other classes (CVE-2026-5946)",
        "Class ANY, NONE and any but IN names no zone.",
        ((DEFENCES, ("test_zones_of_other_classes_are_nobody_s",)),),
    ),
    Row(
        "forged updates",
        "By address alone only over TCP or from this machine; by key on every transport, each record against its "
        "grants; signatures of a zone that we sign are not for updates.",
        (
            (DEFENCES, ("test_an_address_alone_proves_nothing_over_udp",)),
            (TENDED, ("test_who_may_not",)),
            (
                f"{UNIT}/test_update.py",
                (
                    "test_grants_are_asked_for_every_record",
                    "test_what_an_update_may_not_say",
                    "test_signatures_of_a_zone_that_we_sign_are_not_for_updates",
                ),
            ),
        ),
    ),
    Row(
        "rules that one transport forgets (CVE-2026-12490)",
        "NOTIFY and transfers are held to the same rules over UDP, TCP and TLS.",
        ((DEFENCES, ("test_who_may_notify_and_transfer_is_asked_on_every_transport",)),),
    ),
    Row(
        "TSIG: forgery, replay, truncation, gaps",
        "Wrong keys, codes and times are told apart and refused; a transfer's last message is signed.",
        (
            (
                TSIG,
                (
                    "test_what_is_not_true",
                    "test_a_code_may_be_cut_to_half_and_no_further",
                    "test_too_many_messages_without_a_signature",
                    "test_the_record_stands_at_the_end_and_once",
                    "test_no_bytes_are_too_strange",
                ),
            ),
        ),
    ),
    Row(
        "poisoned transfers (CVE-2025-59030 and NSD's of 2026)",
        "SOA records out of place, names outside the zone, other classes, steps that lead nowhere and transfers "
        "without an end are refused before anything is taken.",
        (
            (
                TRANSFER,
                (
                    "test_what_breaks_the_rules",
                    "test_messages_that_are_no_part_of_it",
                    "test_a_transfer_without_an_end_ends",
                    "test_no_bytes_raise_anything_else",
                ),
            ),
            (
                CATALOGS,
                ("test_a_broken_or_too_large_catalog_changes_nothing", "test_a_zone_moves_only_if_its_catalog_says_so"),
            ),
        ),
    ),
    Row(
        "a serial ahead of NOTIFY, floods of NOTIFY",
        "Whatever is notified, a primary is asked once a second at most, and what it says decides.",
        ((DEFENCES, ("test_notifications_do_not_make_us_ask_more_than_once_a_second",)),),
    ),
    Row(
        "a primary that is kept away",
        "A copy is served until it expires, by what was last heard of its primary, also over restarts.",
        ((TENDED, ("test_a_copy_expires_and_comes_back", "test_a_copy_expires_while_nothing_runs")),),
    ),
    Row(
        "connections: many, slow, greedy",
        "Limited in all and for one address; a stalled one is cut; who does not read is not read; what is owed on one "
        "is bounded.",
        (
            (
                SERVER,
                (
                    "test_connections_of_one_client_are_limited",
                    "test_a_stalled_connection_is_cut",
                    "test_a_client_that_does_not_read_is_not_read_either",
                ),
            ),
            (STREAM, ("test_too_many_queries_wait_unread", "test_idle_and_half_read_connections_end")),
        ),
    ),
    Row(
        "DoH requests",
        "Bodies, parameters and methods that are none are refused before DNS sees them.",
        ((f"{UNIT}/test_doh.py", ("test_wrong_requests",)),),
    ),
    Row(
        "floods of log lines",
        "What strangers can cause is written twenty times at once and then once a second.",
        ((TENDED, ("test_refusals_do_not_flood_the_log",)),),
    ),
)


def missing() -> list[str]:
    """Tests that are named here and nowhere else."""
    found = []
    for row in ROWS:
        for file, names in row.tests:
            tree = ast.parse((ROOT / file).read_text())
            there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
            found += [f"{file}: {name}" for name in names if name not in there]
    return found


def page() -> str:
    """The page."""
    lines = [
        "# Attacks on name servers",
        "",
        "Written by `python -m tests.vectors.dns_defences`; do not edit.",
        "",
        "What is tried against authoritative servers, what holds here, and the tests that show it. CVE numbers are "
        "those of other servers.",
        "",
        "| attack | what holds | tests |",
        "|---|---|---|",
    ]
    for row in ROWS:
        tests = "<br>".join(f"`{Path(file).name}`: {', '.join(names)}" for file, names in row.tests)
        lines.append(f"| {row.attack} | {row.holds} | {tests} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    sys.stdout.write("".join(f"there is no {each}\n" for each in missing()))


if __name__ == "__main__":
    main()
