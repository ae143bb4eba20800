"""What DKIM costs: CPU of verifying an 8 KB message, apart from the public-key operation, and memory of a large one.

python benchmarks/dkim.py
"""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred

from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.arc import seal_message, verify_arc
from pymailsuite.policy.dkim import SigningKey, generate_key, parse_key_record, sign_message, verify_message

HEADER = b"".join(
    [
        b"Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n\tby mail.example.org with ESMTPS;\r\n"
        b"\tMon, 2 Feb 2026 02:40:00 +0000\r\n" % (hop, hop, hop)
        for hop in range(5)
    ]
    + [
        b"From: Ann Example <ann@example.org>\r\nTo: Bob Example <bob@example.net>\r\nSubject: The minutes\r\n",
        b"Date: Mon, 2 Feb 2026 02:40:00 +0000\r\nMessage-ID: <20260202.1@example.org>\r\nMIME-Version: 1.0\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
    ]
)
LINE = b"Lorem ipsum dolor sit amet, consectetur  adipiscing elit, sed do eiusmod temp.\r\n"
NOW = 1_770_000_000.0


def main() -> None:
    message = HEADER + LINE * ((8192 - len(HEADER)) // len(LINE))
    print(f"message: {len(message)} octets")
    for kind in ("rsa", "ed25519"):
        key = SigningKey("example.org", "s1", generate_key(kind))
        resolver = FakeResolver(txt={key.name: [key.private.record_text().encode()]})
        signed = b"".join(sign_message(message, [key], NOW)) + message
        digest = hashlib.sha256(b"").digest()
        signature = key.private.sign(digest)
        public = parse_key_record(key.private.record_text().encode())
        operation = cpu(lambda public=public, s=signature, d=digest: public.verifies(s, d))
        whole = cpu(lambda signed=signed, resolver=resolver: _run(verify_message(signed, resolver, NOW)))
        signing = cpu(lambda key=key: sign_message(message, [key], NOW))
        bare = cpu(lambda key=key, d=digest: key.private.sign(d))
        print(f"{kind}: verify {whole:.0f} us: public key {operation:.0f} us, the rest {whole - operation:.0f} us")
        print(f"{kind}: sign {signing:.0f} us: private key {bare:.0f} us")
    fields = _run(seal_message(message, key, "example.org", resolver, NOW))
    sealed = fields + message
    print(f"unsigned: {cpu(lambda: _run(verify_message(message, resolver, NOW))):.0f} us")
    print(f"arc: verify {cpu(lambda: _run(verify_arc(sealed, resolver, NOW))):.0f} us (Ed25519)")
    large(key, resolver)


def large(key: SigningKey, resolver: FakeResolver) -> None:
    """100 MB in chunks of 64 KiB, signed and verified."""
    chunk = LINE * (65536 // len(LINE))
    count = 100_000_000 // len(chunk)

    def chunks(prefix: bytes = b"") -> Iterator[bytes]:
        yield prefix + HEADER
        for _ in range(count):
            yield chunk

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    fields = b"".join(sign_message(chunks(), [key], NOW))
    signed_s = time.process_time() - start
    start = time.process_time()
    (result,) = _run(verify_message(chunks(fields), resolver, NOW))
    verified_s = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"100 MB: {result.status.value}, sign {signed_s:.2f} s, verify {verified_s:.2f} s CPU, "
        f"{(after - before) / 1024:.1f} MB more memory"
    )


def cpu(work: Callable[[], object], seconds: float = 0.5) -> float:
    """Microseconds of CPU that one run takes."""
    work()
    runs = 0
    start = time.process_time()
    while (spent := time.process_time() - start) < seconds:
        for _ in range(20):
            work()
        runs += 20
    return spent / runs * 1e6


def _run(work):  # type: ignore[no-untyped-def]
    results: list[object] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    return results[0]


if __name__ == "__main__":
    main()
