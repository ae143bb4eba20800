#!/usr/bin/env python3
"""IMAP: fill a mailbox by APPEND, grow another by COPY, then time a fixed list of commands.

Each figure is in seconds (or a rate); the commands are run --repeat times and give
[first, median of all, max]. Counts of the replies are checked."""

import statistics
import sys
import time

import common
import corpus


def fill(args, box, count):
    """APPEND message 0..count-1 of the corpus over --conns connections, to --spread users."""
    messages = [corpus.message(i) for i in range(count)]

    def connect(n):
        return common.Imap(args.host, args.port, args.timeout, common.login_name(args, args.user + n), args.password)

    readers, have = [connect(n) for n in range(args.spread)], 0
    for imap in readers:
        if box != b"INBOX":
            imap.start(b'CREATE "%s"' % box)
            imap.read_tagged()
        have += imap.messages(box)
    plus = b"LITERAL+" in readers[0].capabilities()

    def work(i):
        users = range(i % args.spread, args.spread, args.conns)
        for turn, user in enumerate(users):
            imap = connect(user)
            for k in range(i, count, args.conns)[turn :: len(users)]:
                imap.append(box, messages[k], plus)
            imap.logout()

    server = common.Server(args.server_pids)
    cpu0 = server.cpu()
    _, took, client_cpu = common.run_workers(args.conns, work)
    if sum(imap.messages(box) for imap in readers) - have != count:
        sys.exit("APPEND: wrong count")
    octets = sum(map(len, messages))
    common.emit(
        "imap_append",
        args,
        conns=args.conns,
        spread=args.spread,
        messages=count,
        append_per_s=count / took,
        mb_per_s=octets / took / 1e6,
        client_cpu_s=client_cpu,
        **server.figures(cpu0, count),
    )
    for imap in readers:
        imap.logout()


def grow(args, source, box, count):
    """COPY the source's messages into box until it has `count`."""
    imap = common.Imap(args.host, args.port, args.timeout, common.login_name(args, args.user), args.password)
    imap.start(b'CREATE "%s"' % box)
    imap.read_tagged()
    have, size = imap.messages(box), imap.select(source)
    start, copied = time.monotonic(), 0
    while have < count:
        n = min(size, count - have)
        imap.cmd(b'COPY 1:%d "%s"' % (n, box))
        have, copied = have + n, copied + n
    took = time.monotonic() - start
    if copied:
        common.emit("imap_grow", args, copied=copied, copy_per_s=copied / took)
    imap.logout()


def battery(args, box):
    name = common.login_name(args, args.user)
    figures = {}

    def connect():
        return common.Imap(args.host, args.port, args.timeout, name, args.password)

    def run(label, command, check=None, repeat=args.repeat, before=None):
        """check: (bytes to count in the reply, wanted count) or None"""
        times, cpus, size = [], [], 0
        for _ in range(repeat):
            if before:
                before()
            cpu = server.cpu() if server.roots else 0
            took, data = imap.timed(command)
            times.append(took)
            cpus.append(server.cpu() - cpu if server.roots else 0)
            size = len(data)
            if check and data.count(check[0]) != check[1]:
                sys.exit(f"{label}: {data.count(check[0])} of {check[1]}")
            if data.startswith((b"* SEARCH", b"* SORT")):
                figures[label + "_hits"] = len(data.split(b"\r\n")[0].split()) - 2
        figures[label] = [round(times[0], 4), round(statistics.median(times), 4), round(max(times), 4)]
        if server.roots:
            figures[label + "_cpu"] = round(statistics.median(cpus), 3)
        return size, statistics.median(times)

    server = common.Server(args.server_pids)
    imap = connect()
    caps = imap.capabilities()
    total = imap.messages(box)
    chosen = b'SELECT "%s"' % box
    run("select", chosen, before=lambda: imap.cmd(b"NOOP"))
    n = imap.select(box)
    if n != total:
        sys.exit("SELECT and STATUS differ")
    every = (b" FETCH (", n)
    run("fetch_uid_flags", b"FETCH 1:* (UID FLAGS)", every)
    run("fetch_envelope", b"FETCH 1:* (UID FLAGS ENVELOPE INTERNALDATE RFC822.SIZE)", every)
    run("fetch_bodystructure", b"FETCH 1:* (UID BODYSTRUCTURE)", every)
    run("fetch_4headers", b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]", every)
    last = b"%d:*" % max(1, n - 49)
    run("fetch_page50_envelope", b"FETCH " + last + b" (UID FLAGS ENVELOPE BODYSTRUCTURE)")
    if n <= args.body_max:
        size, took = run("fetch_body", b"FETCH 1:* BODY.PEEK[]", every)
        figures["fetch_body_mb"], figures["fetch_body_mb_per_s"] = round(size / 1e6, 1), round(size / 1e6 / took, 1)
        run("search_body", b"UID SEARCH BODY zebrafish")
        run("search_text_absent", b"UID SEARCH TEXT nosuchwordatall")
    run("search_subject", b"UID SEARCH SUBJECT quarterly")
    run("search_from", b'UID SEARCH FROM "sender17@"')
    run("search_since", b"UID SEARCH SENTSINCE 15-Jan-2023")
    run("search_internal_since", b"UID SEARCH SINCE 1-Mar-2023")
    run("search_unseen", b"UID SEARCH UNSEEN")
    if b" SORT" in caps:
        run("sort_date", b"SORT (DATE) UTF-8 ALL")
        run("sort_subject", b"SORT (SUBJECT) UTF-8 ALL")
    if b"THREAD=REFERENCES" in caps:
        run("thread_references", b"THREAD REFERENCES UTF-8 ALL")

    def clear():
        return imap.cmd(b"STORE 1:* -FLAGS.SILENT (\\Seen)")

    clear()
    run("store_seen", b"STORE 1:* +FLAGS (\\Seen)", (b" FETCH (", n), before=clear)
    clear()
    copies = b"bench-copy"

    def fresh():
        for command in (b'DELETE "%s"' % copies, b'CREATE "%s"' % copies):
            imap.start(command)
            imap.read_tagged()

    run("copy_1000", b'COPY 1:%d "%s"' % (min(1000, n), copies), before=fresh)

    def doomed():
        imap.cmd(chosen)
        fresh()
        imap.cmd(b'COPY 1:%d "%s"' % (min(1000, n), copies))
        imap.select(copies)
        imap.cmd(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")

    run("expunge_1000", b"EXPUNGE", (b" EXPUNGE\r\n", min(1000, n)), before=doomed)
    imap.cmd(chosen)
    memory = {"server_" + k: v for k, v in server.memory().items()} if server.roots else {}
    imap.logout()
    # a new connection: the whole of what a phone does when it opens a mailbox it knows
    times = []
    for _ in range(args.repeat):
        start = time.monotonic()
        imap = connect()
        imap.select(box)
        imap.cmd(b"FETCH " + last + b" (UID FLAGS)")
        times.append(time.monotonic() - start)
        imap.logout()
    figures["open_known"] = [round(times[0], 4), round(statistics.median(times), 4), round(max(times), 4)]
    common.emit("imap", args, box=box.decode(), messages=n, **figures, **memory)


def logins(args):
    def work(i):
        for k in range(i, args.logins, args.conns):
            imap = common.Imap(args.host, args.port, args.timeout, common.login_name(args, k), args.password)
            imap.select(b"INBOX")
            imap.logout()

    server = common.Server(args.server_pids)
    cpu0 = server.cpu()
    _, took, client_cpu = common.run_workers(args.conns, work)
    common.emit(
        "imap_login",
        args,
        conns=args.conns,
        logins=args.logins,
        logins_per_s=args.logins / took,
        client_cpu_s=client_cpu,
        **server.figures(cpu0, args.logins),
    )


def main():
    p = common.parser(__doc__, 1143)
    p.add_argument("--user", type=int, default=0, help="whose mailboxes")
    p.add_argument("--conns", type=int, default=4, help="for APPEND and logins")
    p.add_argument("--box", default="big")
    p.add_argument("--fill", type=int, default=0, help="APPEND this many messages to the box")
    p.add_argument("--spread", type=int, default=1, help="fill this many users' boxes instead of one")
    p.add_argument("--grow", type=int, default=0, help="COPY from the box into BOX-N until it has N")
    p.add_argument("--battery", action="store_true", help="time the commands on the box")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--body-max", type=int, default=20000, help="no FETCH or SEARCH of bodies in bigger mailboxes")
    p.add_argument("--logins", type=int, default=0, help="connect+LOGIN+SELECT+LOGOUT this often")
    args = p.parse_args()
    box = args.box.encode()
    if args.fill:
        fill(args, box, args.fill)
    if args.grow:
        grow(args, box, b"%s-%d" % (box, args.grow), args.grow)
    if args.battery:
        battery(args, box)
    if args.logins:
        logins(args)


if __name__ == "__main__":
    main()
