#!/usr/bin/env python3
"""Submit messages to a server that relays everything to a sink; rate end to end.

The sink is sink.py (asked with COUNT), or any other with --queue-probe, a command that
prints the number of messages still queued (for instance for postfix with smtp-sink)."""

import subprocess
import sys
import time

import common
import corpus


def main():
    p = common.parser(__doc__, 2525)
    p.add_argument("--conns", type=int, default=20)
    p.add_argument("--messages", type=int, default=5000)
    p.add_argument("--size", type=int, default=4096)
    p.add_argument("--rcpt-pattern", default="rcpt{}@remote.test")
    p.add_argument("--sink-port", type=int, default=2526)
    p.add_argument("--queue-probe", default="")
    args = p.parse_args()
    body = corpus.wire(corpus.sized(1, args.size))
    share = [args.messages // args.conns + (i < args.messages % args.conns) for i in range(args.conns)]
    sink = None
    if not args.queue_probe:
        sink = common.Conn(args.host, args.sink_port, args.timeout)
        sink.line()

    def count():
        sink.sock.sendall(b"COUNT\r\n")
        return [int(x) for x in sink.line().split()[1:]]

    server = common.Server(args.server_pids)
    cpu0 = server.cpu()
    before = count() if sink else [0, 0, 0]

    def work(i):
        smtp = common.Smtp(args.host, args.port, args.timeout)
        took = [
            smtp.send(b"sender@example.test", [args.rcpt_pattern.format(k % args.users).encode()], body)
            for k in range(share[i])
        ]
        smtp.quit()
        return took

    start = time.monotonic()
    results, took, client_cpu = common.run_workers(args.conns, work)
    latencies = [x for r in results for x in r]
    while True:
        if sink:
            now = count()
            if now[0] - before[0] >= args.messages:
                break
        elif int(subprocess.run(args.queue_probe, shell=True, capture_output=True, check=False).stdout) == 0:
            break
        if time.monotonic() - start > args.timeout + took:
            sys.exit("not all relayed when time ran out")
        time.sleep(0.02)
    done = time.monotonic() - start
    extra = {"sink_connections": now[2] - before[2]} if sink else {}
    common.emit(
        "relay_out",
        args,
        size=args.size,
        conns=args.conns,
        messages=args.messages,
        accepted_s=took,
        accepted_per_s=args.messages / took,
        relayed_s=done,
        relayed_per_s=args.messages / done,
        data_p50_ms=common.percentile(latencies, 50) * 1000,
        data_p99_ms=common.percentile(latencies, 99) * 1000,
        **extra,
        client_cpu_s=client_cpu,
        **server.figures(cpu0, args.messages),
    )


if __name__ == "__main__":
    main()
