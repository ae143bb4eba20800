#!/usr/bin/env python3
"""syscalls.py --server-pids X --per N -- COMMAND: count the system calls that the server's
process tree makes while COMMAND runs (with strace -f -c), in all and per message."""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time

import common


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--server-pids", required=True)
    p.add_argument("--per", type=int, default=1)
    p.add_argument("--trace", default="fsync,fdatasync,sync_file_range,msync")
    p.add_argument("--label", default="")
    p.add_argument("command", nargs=argparse.REMAINDER)
    args = p.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    pids = common.Server(args.server_pids).pids()
    with tempfile.NamedTemporaryFile("r") as out:
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-e", "trace=" + args.trace, "-o", out.name]
            + [x for pid in pids for x in ("-p", str(pid))],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(2)
        got = subprocess.run(command, stdout=sys.stderr, check=False)
        time.sleep(2)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        counts = {}
        for line in out:
            m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if m and m[2] != "total":
                counts[m[2]] = int(m[1])
    print(
        json.dumps(
            {
                "test": "syscalls",
                "label": args.label,
                "calls": counts,
                "per_message": {k: round(v / args.per, 3) for k, v in counts.items()},
            }
        )
    )
    sys.exit(got.returncode)


if __name__ == "__main__":
    main()
