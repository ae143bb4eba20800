"""A seeded corpus of messages: ``corpus(count)`` is always the same octets.

About half plain text (4 KB and up), a third multipart/alternative, the rest multipart/mixed with base64 attachments of
up to a megabyte, now and then a forwarded message; subjects and names in several scripts; trace and list fields as
mail has them after two hops.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator

WORDS = (
    *("the", "of", "and", "to", "in", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "he", "his"),
    *("but", "at", "are", "this", "have", "from", "or", "had", "an", "they", "which", "one", "you", "were", "all"),
    *("invoice", "meeting", "budget", "schedule", "server", "release", "deadline", "contract", "draft", "review"),
)
NAMES = ("Ada Lovelace", "Grace M. Hopper", "Jürgen Ñandú", "Анна Петрова", "会議 太郎", "O'Brien, Pat", "")
DOMAINS = ("mail.example", "corp.example.org", "lists.example.net", "uni.example.edu")


def _name(rng: random.Random) -> str:
    name = rng.choice(NAMES)
    if not name.isascii():
        return f"=?utf-8?B?{base64.b64encode(name.encode()).decode()}?= "
    return f'"{name}" ' if "," in name or "." in name else f"{name} " if name else ""


def _address(rng: random.Random) -> str:
    return f"{_name(rng)}<user{rng.randrange(500)}@{rng.choice(DOMAINS)}>"


def _text(rng: random.Random, size: int) -> str:
    lines: list[str] = []
    total = 0
    while total < size:
        line = " ".join(rng.choices(WORDS, k=rng.randint(6, 14)))
        lines.append(line)
        total += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


def _coded(rng: random.Random, size: int) -> str:
    coded = base64.b64encode(rng.randbytes(size * 3 // 4)).decode()
    return "\r\n".join(coded[start : start + 76] for start in range(0, len(coded), 76)) + "\r\n"


def _header(rng: random.Random, number: int) -> list[str]:
    subject = " ".join(rng.choices(WORDS, k=rng.randint(2, 8)))
    if rng.random() < 0.3:
        subject = f"=?utf-8?B?{base64.b64encode(('Grüße: ' + subject).encode()).decode()}?="
    lines = [f"Return-Path: <user{number % 500}@{rng.choice(DOMAINS)}>"]
    for hop in range(2):
        lines.append(
            f"Received: from relay{hop}.example.org (relay{hop}.example.org [192.0.2.{rng.randrange(250)}])\r\n"
            f"\tby mx{hop}.example.net (Postfix) with ESMTPS id {rng.getrandbits(40):010X}\r\n"
            f"\tfor <someone@example.net>; Tue, {1 + number % 28} Jan 2030 10:{number % 60:02}:07 +0100 (CET)"
        )
    lines += [
        f"From: {_address(rng)}",
        "To: " + ",\r\n\t".join(_address(rng) for _ in range(rng.choice((1, 1, 1, 2, 5)))),
        f"Subject: {subject}",
        f"Date: Tue, {1 + number % 28} Jan 2030 10:{number % 60:02}:05 +0100",
        f"Message-ID: <{rng.getrandbits(96):024x}@{rng.choice(DOMAINS)}>",
        "MIME-Version: 1.0",
    ]
    if rng.random() < 0.3:
        lines += [f"In-Reply-To: <{rng.getrandbits(96):024x}@example>", f"Cc: {_address(rng)}", f"X-Mailer: M {number}"]
    return lines


def plain(rng: random.Random, number: int, size: int) -> bytes:
    """A message of one text part."""
    lines = [
        *_header(rng, number),
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "",
    ]
    head = "\r\n".join(lines)
    return (head + _text(rng, size - len(head))).encode()


def _alternative(rng: random.Random, size: int) -> str:
    boundary = f"----=_Part_{rng.getrandbits(48):012x}"
    return (
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n{_text(rng, size // 3)}\r\n"
        f"--{boundary}\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        f"<html><body>{_text(rng, size * 2 // 3)}</body></html>\r\n--{boundary}--\r\n"
    )


def alternative(rng: random.Random, number: int, size: int) -> bytes:
    """A message in plain text and HTML."""
    return ("\r\n".join(_header(rng, number)) + "\r\n" + _alternative(rng, size)).encode()


def mixed(rng: random.Random, number: int, size: int) -> bytes:
    """A message with attachments."""
    boundary = f"=_mixed_{rng.getrandbits(64):016x}"
    parts = [_alternative(rng, 3000)]
    for index in range(rng.choice((1, 1, 2, 3))):
        parts.append(
            f'Content-Type: application/pdf; name="file {index}.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="file {index}.pdf"\r\n\r\n{_coded(rng, size)}'
        )
    if rng.random() < 0.2:
        parts.append("Content-Type: message/rfc822\r\n\r\n" + plain(rng, number, 3000).decode())
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    head = "\r\n".join([*_header(rng, number), f'Content-Type: multipart/mixed; boundary="{boundary}"'])
    return f"{head}\r\n\r\n{body}--{boundary}--\r\n".encode()


def corpus(count: int, seed: int = 1) -> Iterator[bytes]:
    """``count`` messages of all kinds."""
    rng = random.Random(seed)
    for number in range(count):
        kind = rng.random()
        if kind < 0.25:
            yield plain(rng, number, 4096)
        elif kind < 0.5:
            yield plain(rng, number, int(rng.lognormvariate(8.8, 0.8)))
        elif kind < 0.82:
            yield alternative(rng, number, int(rng.lognormvariate(9.3, 0.8)))
        else:
            yield mixed(rng, number, min(1_000_000, int(rng.lognormvariate(11, 1.2))))
