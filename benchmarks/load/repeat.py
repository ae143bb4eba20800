#!/usr/bin/env python3
"""repeat.py [-n 3] [--label X] -- COMMAND: run a harness command n times; print each figure's
median with its min and max, one JSON line for each line the command prints."""

import argparse
import json
import statistics
import subprocess
import sys

CONSTANT = ("conns", "spread", "size", "messages", "per_conn", "logins", "retr", "deliveries")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("-n", type=int, default=3)
    p.add_argument("--label", default="")
    p.add_argument("command", nargs=argparse.REMAINDER)
    args = p.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    runs = []
    for _ in range(args.n):
        got = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if got.returncode:
            sys.exit(got.returncode)
        runs.append([json.loads(line) for line in got.stdout.splitlines() if line.startswith("{")])
    for lines in zip(*runs, strict=False):
        out = {}
        for key, value in lines[0].items():
            values = [line[key] for line in lines]
            if isinstance(value, (int, float)) and not isinstance(value, bool) and key not in CONSTANT:
                out[key] = [round(f(values), 3) for f in (statistics.median, min, max)]
            else:
                out[key] = value
        out["label"] = args.label or out.get("label", "")
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
