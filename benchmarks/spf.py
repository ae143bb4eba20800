"""SPF evaluations a second on one core, all answers in the resolver's cache.

    python benchmarks/spf.py [SECONDS]

The records are shaped like those of big senders: networks, includes of includes, mx and a; a third of the clients are
not permitted.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import dns.rdatatype
from twisted.internet.task import Clock

from pymailsuite.config.sections.dns import DnsSettings
from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.dns.resolver import Resolver
from pymailsuite.interfaces import Answer, MxRecord
from pymailsuite.policy.spf import Query, SpfChecker

_NETWORKS = " ".join(f"ip4:198.51.{n}.0/24" for n in range(12))
_RECORDS: dict[tuple[str, str], tuple[Any, ...]] = {
    ("small.example", "TXT"): (b"v=spf1 mx a ip4:192.0.2.0/24 -all",),
    ("small.example", "MX"): (MxRecord(10, "mx.small.example"),),
    ("small.example", "A"): ("203.0.113.9",),
    ("mx.small.example", "A"): ("203.0.113.10",),
    ("big.example", "TXT"): (b"site-verification=x", b"v=spf1 include:_spf.big.example include:crm.example ~all"),
    ("_spf.big.example", "TXT"): (b"v=spf1 include:_net1.big.example include:_net2.big.example ~all",),
    ("_net1.big.example", "TXT"): (f"v=spf1 {_NETWORKS} ~all".encode(),),
    ("_net2.big.example", "TXT"): (b"v=spf1 ip6:2001:db8::/32 ip4:192.0.2.0/25 ~all",),
    ("crm.example", "TXT"): (b"v=spf1 exists:%{i}._spf.crm.example -all",),
    ("203.0.113.7._spf.crm.example", "A"): (),
    ("plain.example", "TXT"): (b"v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all",),
}
_QUERIES = [
    Query.of_mail_from(ip, f"joe@{domain}", "mx.client.example")
    for domain in ("small.example", "big.example", "plain.example")
    for ip in ("192.0.2.9", "203.0.113.10", "203.0.113.7")
    if (domain, ip) != ("big.example", "203.0.113.10")
]


def main() -> None:
    """Run for a while, print the rate."""
    clock = Clock()
    resolver = Resolver(DnsSettings(servers=("127.0.0.1",)), clock)
    for (name, kind), records in _RECORDS.items():
        question = (name, dns.rdatatype.from_text(kind))
        resolver._cache.put(question, Answer(records, ttl_s=3600), clock.seconds())
    checker = SpfChecker(SpfSettings(), resolver, clock)
    results: dict[str, int] = {}
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    started, count = time.process_time(), 0
    while time.process_time() - started < seconds:
        for query in _QUERIES:
            evaluated = checker.check(query)
            assert evaluated.called  # nothing was asked of a server
            evaluated.addCallback(lambda found: results.__setitem__(found.result.value, 1))
            count += 1
    print(f"{count / (time.process_time() - started):.0f} evaluations a second; results {sorted(results)}")


if __name__ == "__main__":
    main()
