#!/usr/bin/env python3
"""Submit messages over SMTP: acceptance rate, DATA reply latency, time until readable."""

import sys
import time

import common
import corpus


def counts(args):
    """Open one reader per user; returns a function giving a user's message count."""
    kind, _, port = args.deliver_check.partition(":")
    if kind == "imap":
        readers = [
            common.Imap(args.host, int(port), args.timeout, common.login_name(args, n), args.password)
            for n in range(args.users)
        ]
        return lambda n: readers[n].messages()
    if kind == "pop3":  # POP3 sees a mailbox as it was at login, so log in anew

        def count(n):
            pop = common.Pop3(args.host, int(port), args.timeout, common.login_name(args, n), args.password)
            found = pop.messages()
            pop.quit()
            return found

        return count
    return None


def purge(args):
    """Empty every user's INBOX over IMAP, so that repeated runs start alike."""
    port = int(args.deliver_check.partition(":")[2])
    for n in range(args.users):
        imap = common.Imap(args.host, port, args.timeout, common.login_name(args, n), args.password)
        if imap.select(b"INBOX"):
            imap.cmd(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
            imap.cmd(b"EXPUNGE")
        imap.logout()


def main():
    p = common.parser(__doc__, 2525)
    p.add_argument("--conns", type=int, default=20)
    p.add_argument("--messages", type=int, default=5000)
    p.add_argument("--size", type=int, default=4096, help="0: the realistic corpus")
    p.add_argument("--per-conn", type=int, default=0, help="messages per connection; 0: all on one")
    p.add_argument("--no-pipelining", action="store_true")
    p.add_argument("--deliver-check", default="", help="imap:PORT or pop3:PORT on the same host")
    p.add_argument("--purge", action="store_true", help="first empty the mailboxes (needs imap:PORT)")
    args = p.parse_args()
    if args.purge:
        purge(args)
    if args.size:
        bodies = [corpus.wire(corpus.sized(1, args.size))]
    else:
        bodies = [corpus.wire(corpus.message(i)) for i in range(2000)]
    share = [args.messages // args.conns + (i < args.messages % args.conns) for i in range(args.conns)]
    first = [sum(share[:i]) for i in range(args.conns)]
    count = counts(args)
    before = [count(n) for n in range(args.users)] if count else []
    server = common.Server(args.server_pids)
    cpu0 = server.cpu()

    def work(i):
        latencies, smtp, left = [], None, 0
        for k in range(first[i], first[i] + share[i]):
            if not left:
                smtp = common.Smtp(args.host, args.port, args.timeout, not args.no_pipelining)
                left = args.per_conn or args.messages
            latencies.append(
                smtp.send(b"sender@elsewhere.test", [common.address(args, k).encode()], bodies[k % len(bodies)])
            )
            left -= 1
            if not left:
                smtp.quit()
                smtp = None
        if smtp:
            smtp.quit()
        return latencies

    start = time.monotonic()
    results, took, client_cpu = common.run_workers(args.conns, work)
    latencies = [x for r in results for x in r]
    out = {
        "size": args.size,
        "conns": args.conns,
        "messages": args.messages,
        "per_conn": args.per_conn,
        "pipelining": not args.no_pipelining,
        "accepted_s": took,
        "msgs_per_s": args.messages / took,
        "data_p50_ms": common.percentile(latencies, 50) * 1000,
        "data_p99_ms": common.percentile(latencies, 99) * 1000,
    }
    if count:
        wanted = [b + len(range(n, args.messages, args.users)) for n, b in enumerate(before)]
        for n in range(args.users):
            while count(n) < wanted[n]:
                if time.monotonic() - start > args.timeout + took:
                    sys.exit(f"user {n}: {count(n)} of {wanted[n]} delivered when time ran out")
                time.sleep(0.02)
        done = time.monotonic() - start
        out.update(delivered_s=done, delivered_per_s=args.messages / done)
    common.emit("smtp_in", args, **out, client_cpu_s=client_cpu, **server.figures(cpu0, args.messages))


if __name__ == "__main__":
    main()
