#!/usr/bin/env python3
"""An SMTP sink: accepts everything, keeps nothing, counts. `COUNT` as a command asks the count."""

import argparse
import asyncio


class Sink(asyncio.Protocol):
    connections = messages = octets = 0

    def connection_made(self, transport):
        Sink.connections += 1
        self.transport = transport
        self.buf = b""
        self.data = False
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data):
        self.buf += data
        out = []
        while True:
            if self.data:
                # the final dot also ends an empty message, whose CRLF was DATA's own
                end = 0 if self.buf.startswith(b".\r\n") and self.empty else self.buf.find(b"\r\n.\r\n") + 2
                if end == 1:
                    keep = self.buf[-4:]
                    Sink.octets += len(self.buf) - len(keep)
                    if len(self.buf) > 4:
                        self.empty = False
                    self.buf = keep
                    break
                Sink.octets += end
                Sink.messages += 1
                self.buf = self.buf[end + 3 :]
                self.data = False
                out.append(b"250 2.0.0 taken\r\n")
                continue
            line, sep, rest = self.buf.partition(b"\r\n")
            if not sep:
                break
            self.buf = rest
            verb = line[:4].upper()
            if verb == b"EHLO":
                out.append(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 100000000\r\n")
            elif verb == b"DATA":
                self.data = self.empty = True
                out.append(b"354 go\r\n")
            elif verb == b"COUN":
                out.append(b"250 %d %d %d\r\n" % (Sink.messages, Sink.octets, Sink.connections))
            elif verb == b"QUIT":
                out.append(b"221 bye\r\n")
                self.transport.write(b"".join(out))
                self.transport.close()
                return
            else:
                out.append(b"250 2.0.0 ok\r\n")
        if out:
            self.transport.write(b"".join(out))


async def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=2526)
    args = p.parse_args()
    server = await asyncio.get_running_loop().create_server(Sink, args.host, args.port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
