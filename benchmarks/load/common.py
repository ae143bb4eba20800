"""Shared pieces of the load harness: wire clients, worker processes, server accounting."""

import argparse
import json
import multiprocessing
import os
import resource
import socket
import ssl
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


# ---- arguments and output ----------------------------------------------------------


def parser(description, port):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=port)
    p.add_argument("--user-pattern", default="user{}@example.test", help="'{}' is replaced by the user's number")
    p.add_argument(
        "--login-pattern", default=None, help="as --user-pattern, where the login name differs from the address"
    )
    p.add_argument("--users", type=int, default=100)
    p.add_argument("--password", default="test")
    p.add_argument(
        "--server-pids",
        default="",
        help="comma-separated pids, or @FILE holding them; each one's whole "
        "process tree is summed for CPU, PSS and RSS",
    )
    p.add_argument("--timeout", type=float, default=120)
    p.add_argument("--label", default="", help="copied into the output")
    return p


def address(args, n):
    return args.user_pattern.format(n % args.users)


def login_name(args, n):
    return (args.login_pattern or args.user_pattern).format(n % args.users)


def emit(test, args, **figures):
    out = {"test": test, "label": args.label}
    for key, value in figures.items():
        out[key] = round(value, 4) if isinstance(value, float) else value
    print(json.dumps(out), flush=True)


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] if ordered else 0.0


# ---- what the server costs ----------------------------------------------------------


class Server:
    """CPU seconds and memory of the process trees below some root pids (Linux /proc)."""

    def __init__(self, spec):
        roots = []
        for item in filter(None, spec.split(",")):
            if item.startswith("@"):
                with open(item[1:]) as f:
                    roots += [int(word) for word in f.read().split()]
            else:
                roots.append(int(item))
        self.roots = roots
        self.began = self.machine()

    def pids(self):
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as f:
                        fields = f.read().rpartition(b")")[2].split()
                except OSError:
                    continue
                parents.setdefault(int(fields[1]), []).append(int(name))
        found, todo = [], list(self.roots)
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += parents.get(pid, [])
        return found

    def cpu(self):
        """Live processes' own time plus that of the children they have reaped."""
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat", "rb") as f:
                    fields = f.read().rpartition(b")")[2].split()
            except OSError:
                continue
            total += sum(int(x) for x in fields[11:15])
        return total / TICK

    @staticmethod
    def machine():
        """Jiffies of the whole machine: (all, stolen by the hypervisor)."""
        with open("/proc/stat") as f:
            fields = [int(x) for x in f.readline().split()[1:9]]
        return sum(fields), fields[7]

    def memory(self):
        total = {"Pss": 0, "Rss": 0}
        pids = self.pids()
        for pid in pids:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    for line in f:
                        key, _, value = line.partition(":")
                        if key in total:
                            total[key] += int(value.split()[0])
            except OSError:
                continue
        return {"pss_kb": total["Pss"], "rss_kb": total["Rss"], "procs": len(pids)}

    def figures(self, cpu0, messages=0):
        if not self.roots:
            return {}
        used = self.cpu() - cpu0
        now = self.machine()
        out = {"server_cpu_s": used, "steal_share": (now[1] - self.began[1]) / max(1, now[0] - self.began[0])}
        if messages:
            out["server_cpu_s_per_1000"] = used * 1000 / messages
        out.update({"server_" + k: v for k, v in self.memory().items()})
        return out


# ---- worker processes ----------------------------------------------------------------


def run_workers(count, work):
    """Fork `count` processes; each calls work(i) once all are ready.

    Returns (results, seconds from the common start until the last is done, client CPU)."""
    ctx = multiprocessing.get_context("fork")
    barrier = ctx.Barrier(count + 1)
    results = ctx.SimpleQueue()

    def body(i):
        barrier.wait()
        try:
            value = work(i)
        except Exception as e:  # reported by the parent
            value = e
        used = resource.getrusage(resource.RUSAGE_SELF)
        results.put((value, time.monotonic(), used.ru_utime + used.ru_stime))

    children = [ctx.Process(target=body, args=(i,), daemon=True) for i in range(count)]
    for child in children:
        child.start()
    barrier.wait()
    start = time.monotonic()
    got = [results.get() for _ in children]
    for child in children:
        child.join()
    for value, _, _ in got:
        if isinstance(value, Exception):
            sys.exit(f"worker failed: {value!r}")
    return ([value for value, _, _ in got], max(end for _, end, _ in got) - start, sum(cpu for _, _, cpu in got))


# ---- wire clients ----------------------------------------------------------------------


# A server that is measured has a certificate of its own making.
_TLS = ssl.create_default_context()
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


class Conn:
    def __init__(self, host, port, timeout=120, tls=False):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = _TLS.wrap_socket(self.sock)
        self.buf = b""

    def recv(self):
        data = self.sock.recv(1 << 20)
        if not data:
            raise ConnectionError("closed by server")
        return data

    def line(self):
        while True:
            line, sep, rest = self.buf.partition(b"\r\n")
            if sep:
                self.buf = rest
                return line
            self.buf += self.recv()

    def close(self):
        self.sock.close()


class Smtp(Conn):
    def __init__(self, host, port, timeout=120, pipelining=True):
        super().__init__(host, port, timeout)
        self.expect(220)
        self.sock.sendall(b"EHLO bench.example.test\r\n")
        text = self.expect(250)
        self.pipelining = pipelining and b"PIPELINING" in text.upper()

    def expect(self, code):
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            if line[3:4] != b"-":
                break
        if line[:3] != b"%d" % code:
            raise RuntimeError(f"wanted {code}, got {line!r}")
        return b"\n".join(lines)

    def send(self, sender, rcpts, wire):
        """Send one message (already dot-stuffed, ending CRLF.CRLF); seconds for the DATA reply."""
        steps = [b"MAIL FROM:<%s>\r\n" % sender]
        steps += [b"RCPT TO:<%s>\r\n" % r for r in rcpts]
        if self.pipelining:
            self.sock.sendall(b"".join(steps) + b"DATA\r\n")
            for _ in steps:
                self.expect(250)
        else:
            for step in steps:
                self.sock.sendall(step)
                self.expect(250)
            self.sock.sendall(b"DATA\r\n")
        self.expect(354)
        self.sock.sendall(wire)
        start = time.monotonic()
        self.expect(250)
        return time.monotonic() - start

    def quit(self):
        self.sock.sendall(b"QUIT\r\n")
        self.expect(221)
        self.close()


class Imap(Conn):
    serial = 0

    def __init__(self, host, port, timeout=120, user=None, password=None, tls=False):
        super().__init__(host, port, timeout, tls)
        self.tag = b""
        self.line()
        if user is not None:
            self.login(user, password)

    def read_tagged(self):
        """Everything up to the tagged reply, found by its unguessable tag at the very end.

        Neither lines nor literals are parsed, so that the client stays cheap."""
        mark = b"\r\n" + self.tag + b" "
        chunks, tail = [self.buf], b"\r\n" + self.buf
        self.buf = b""
        while not (tail.endswith(b"\r\n") and tail.rfind(mark) >= 0):
            chunk = self.recv()
            chunks.append(chunk)
            tail = (tail + chunk if len(chunk) < 4096 else chunk)[-4096:]
        self.reply = tail[tail.rfind(mark) + len(mark) :].split(b"\r\n")[0]
        return b"".join(chunks)

    def start(self, command):
        Imap.serial += 1
        self.tag = b"z%xq%xz" % (os.getpid(), Imap.serial)
        self.sock.sendall(self.tag + b" " + command + b"\r\n")

    def cmd(self, command):
        self.start(command)
        data = self.read_tagged()
        if not self.reply.startswith(b"OK"):
            raise RuntimeError(f"{command[:80]!r}: {self.reply!r}")
        return data

    def timed(self, command):
        start = time.monotonic()
        data = self.cmd(command)
        return time.monotonic() - start, data

    def login(self, user, password):
        self.cmd(b'LOGIN "%s" "%s"' % (user.encode(), password.encode()))

    def capabilities(self):
        return self.cmd(b"CAPABILITY").upper()

    def append(self, box, message, literal_plus):
        head = b'APPEND "%s" {%d%s}' % (box, len(message), b"+" if literal_plus else b"")
        self.start(head)
        if not literal_plus:
            while not self.line().startswith(b"+"):
                pass
        self.sock.sendall(message + b"\r\n")
        self.read_tagged()
        if not self.reply.startswith(b"OK"):
            raise RuntimeError(f"APPEND: {self.reply!r}")

    def messages(self, box=b"INBOX"):
        data = self.cmd(b'STATUS "%s" (MESSAGES)' % box)
        return int(data.upper().split(b"(MESSAGES ")[1].split(b")")[0])

    def select(self, box):
        data = self.cmd(b'SELECT "%s"' % box)
        for line in data.split(b"\r\n"):
            if line.endswith(b" EXISTS"):
                return int(line.split()[1])
        raise RuntimeError("no EXISTS")

    def logout(self):
        self.cmd(b"LOGOUT")
        self.close()


class Pop3(Conn):
    def __init__(self, host, port, timeout=120, user=None, password=None):
        super().__init__(host, port, timeout)
        self.ok()
        if user is not None:
            self.cmd(b"USER " + user.encode())
            self.cmd(b"PASS " + password.encode())

    def ok(self):
        line = self.line()
        if not line.startswith(b"+OK"):
            raise RuntimeError(repr(line))
        return line

    def cmd(self, command):
        self.sock.sendall(command + b"\r\n")
        return self.ok()

    def multi(self, command):
        """A multi-line reply's body, with the final dot."""
        self.cmd(command)
        chunks = [b"\r\n", self.buf]
        tail = b"\r\n" + self.buf
        self.buf = b""
        while not tail.endswith(b"\r\n.\r\n"):
            chunk = self.recv()
            chunks.append(chunk)
            tail = (tail[-8:] + chunk)[-8:]
        return b"".join(chunks)[2:]

    def messages(self):
        return int(self.cmd(b"STAT").split()[1])

    def quit(self):
        self.cmd(b"QUIT")
        self.close()
