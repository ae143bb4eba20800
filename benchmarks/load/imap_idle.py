#!/usr/bin/env python3
"""Open many authenticated IDLE connections: memory each, and how soon mail is announced.

Mail comes by SMTP (--smtp-port) or, with --smtp-port 0, by APPEND. Latency counts from the
reply that accepted the message to the first untagged EXISTS on one of the user's connections."""

import contextlib
import resource
import selectors
import ssl
import time

import common
import corpus


def main():
    p = common.parser(__doc__, 1143)
    p.add_argument("--conns", type=int, default=2000)
    p.add_argument("--smtp-port", type=int, default=2525)
    p.add_argument("--tls", action="store_true", help="the port is that of IMAP over TLS")
    p.add_argument("--deliveries", type=int, default=50)
    p.add_argument("--settle", type=float, default=3, help="seconds between opening and measuring memory")
    p.add_argument("--wait", type=float, default=40, help="seconds to wait for one announcement")
    args = p.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = common.Server(args.server_pids)
    empty, cpu0 = server.memory(), server.cpu()
    start = time.monotonic()
    idlers = []
    for k in range(args.conns):
        imap = common.Imap(args.host, args.port, args.timeout, common.login_name(args, k), args.password, args.tls)
        imap.select(b"INBOX")
        imap.start(b"IDLE")
        while not imap.line().startswith(b"+"):
            pass
        imap.user = k % args.users
        idlers.append(imap)
    opened = time.monotonic() - start
    time.sleep(args.settle)
    full, cpu1 = server.memory(), server.cpu()
    time.sleep(5)
    idle_cpu = (server.cpu() - cpu1) / 5

    poll = selectors.DefaultSelector()
    for imap in idlers:
        imap.sock.setblocking(False)
        imap.buf = b""
        poll.register(imap.sock, selectors.EVENT_READ, imap)

    def announced(user, limit):
        """Seconds since each of the user's connections said EXISTS, as they come."""
        wanted = sum(1 for imap in idlers if imap.user == user)
        seen = {}
        while len(seen) < wanted and time.monotonic() < limit:
            for key, _ in poll.select(0.1):
                imap = key.data
                with contextlib.suppress(ssl.SSLWantReadError):
                    imap.buf += imap.recv()
                if b" EXISTS\r\n" in imap.buf and imap.user == user and id(imap) not in seen:
                    seen[id(imap)] = time.monotonic()
                imap.buf = imap.buf[-20:] if not imap.buf.endswith(b"\r\n") else b""
        return sorted(seen.values()), wanted

    body = corpus.sized(1, 4096)
    first, last, missed = [], [], 0
    if args.smtp_port:
        smtp = common.Smtp(args.host, args.smtp_port, args.timeout)
    for d in range(args.deliveries):
        user = d * 7 % args.users
        if args.smtp_port:
            smtp.send(b"sender@elsewhere.test", [common.address(args, user).encode()], corpus.wire(body))
        else:
            other = common.Imap(args.host, args.port, args.timeout, common.login_name(args, user), args.password)
            other.append(b"INBOX", body, False)
        accepted = time.monotonic()
        times, wanted = announced(user, accepted + args.wait)
        missed += wanted - len(times)
        if times:
            first.append(times[0] - accepted)
            last.append(times[-1] - accepted)
    figures = {
        "conns": args.conns,
        "open_per_s": args.conns / opened,
        "deliveries": args.deliveries,
        "first_p50_ms": common.percentile(first, 50) * 1000,
        "first_p99_ms": common.percentile(first, 99) * 1000,
        "all_p50_ms": common.percentile(last, 50) * 1000,
        "all_p99_ms": common.percentile(last, 99) * 1000,
        "missed": missed,
    }
    if server.roots:
        figures.update(
            pss_kb_each=(full["pss_kb"] - empty["pss_kb"]) / args.conns,
            rss_kb_each=(full["rss_kb"] - empty["rss_kb"]) / args.conns,
            pss_kb_empty=empty["pss_kb"],
            pss_kb_full=full["pss_kb"],
            procs=full["procs"],
            open_cpu_ms_each=(cpu1 - cpu0) * 1000 / args.conns,
            idle_cpu_share=idle_cpu,
        )
    common.emit("imap_idle", args, **figures)
    for imap in idlers:
        imap.close()


if __name__ == "__main__":
    main()
