#!/usr/bin/env python3
"""POP3: login, LIST, UIDL and RETR of a user's INBOX; login rate."""

import statistics
import sys
import time

import common


def main():
    p = common.parser(__doc__, 1110)
    p.add_argument("--user", type=int, default=0, help="whose INBOX; see imap_load.py --box INBOX --fill N")
    p.add_argument("--retr", type=int, default=1000)
    p.add_argument("--conns", type=int, default=4)
    p.add_argument("--logins", type=int, default=0, help="connect+login+STAT+QUIT this often, over all users")
    p.add_argument("--repeat", type=int, default=3)
    args = p.parse_args()
    server = common.Server(args.server_pids)
    runs = []
    for _ in range(args.repeat if args.retr else 0):
        start = time.monotonic()
        pop = common.Pop3(args.host, args.port, args.timeout, common.login_name(args, args.user), args.password)
        have = pop.messages()
        login = time.monotonic()
        if pop.multi(b"LIST").count(b"\r\n") != have + 1:
            sys.exit("LIST: wrong count")
        listed = time.monotonic()
        if pop.multi(b"UIDL").count(b"\r\n") != have + 1:
            sys.exit("UIDL: wrong count")
        uidl = time.monotonic()
        cpu0 = server.cpu() if server.roots else 0
        number = min(args.retr, have)
        octets = sum(len(pop.multi(b"RETR %d" % k)) for k in range(1, number + 1))
        retr = time.monotonic()
        cpu = server.cpu() - cpu0 if server.roots else 0
        pop.quit()
        runs.append(
            (
                login - start,
                listed - login,
                uidl - listed,
                number / (retr - uidl),
                octets / (retr - uidl) / 1e6,
                cpu * 1000 / max(1, number),
            )
        )
    if runs:
        names = ("login_stat_s", "list_s", "uidl_s", "retr_per_s", "retr_mb_per_s", "retr_cpu_s_per_1000")
        figures = {
            name: [round(v, 4) for v in (runs[0][k], statistics.median(r[k] for r in runs), max(r[k] for r in runs))]
            for k, name in enumerate(names)
        }
        common.emit("pop3", args, messages=have, retr=number, **figures)
    if args.logins:

        def work(i):
            for k in range(i, args.logins, args.conns):
                pop = common.Pop3(args.host, args.port, args.timeout, common.login_name(args, k), args.password)
                pop.messages()
                pop.quit()

        cpu0 = server.cpu()
        _, took, client_cpu = common.run_workers(args.conns, work)
        common.emit(
            "pop3_login",
            args,
            conns=args.conns,
            logins=args.logins,
            logins_per_s=args.logins / took,
            client_cpu_s=client_cpu,
            **server.figures(cpu0, args.logins),
        )


if __name__ == "__main__":
    main()
