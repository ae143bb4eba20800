"""A seeded corpus of realistic messages: message(i) is always the same bytes.

About 45% text/plain, 35% multipart/alternative, 20% multipart/mixed with a base64
attachment; sizes 2-60 KB (log-normal), 0.3% about 1 MB; a third of the subjects are
UTF-8 encoded words; a third of the messages are replies, so that threads form.
"zebrafish" is in the text of 1% of the bodies, "Quarterly" in 5% of the subjects."""

import argparse
import base64
import datetime
import hashlib
import random

SEED = 20240601
WORDS = (  # noqa: SIM905
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had "
    "an they which one you were all her she there would their we him been has when who will no more if "
    "out so up said what its about than into them can only other time new some could these two may first "
    "then do any like my now over such our man me even most made after also did many off before must well "
    "back through years much where your way down should because long each just state those people too mr "
    "how little good world make very year still see own work men day get here between both life being "
    "under three never know same last another while us might great go come since against right came take "
    "used himself few house use place during high without again home around small however found mrs part "
    "school thought went say general once upon every left war does got united number hand course water "
    "until always away public something fact less though far put head think called set almost enough end "
    "took government night yet system better four nothing told eyes city going president why days present "
    "point didn look find asked second group later next room social business knew program give half side "
    "face toward white let young form given per order large several invoice meeting budget schedule "
    "server release deadline contract draft review agenda travel ticket account customer delivery"
).split()
SUBJECTS = (
    "Meeting notes for {}",
    "Re: {} schedule",
    "{} report",
    "Your {} order",
    "Invitation: {} review",
    "Update on the {}",
    "Question about {}",
    "Fwd: {}",
)
FOREIGN = (
    "Grüße aus München {}",
    "Réunion à préparer: {}",
    "Отчёт за неделю {}",
    "会議の議事録 {}",
    "Žádost o schválení {}",
    "Ειδοποίηση {}",
    "Świąteczne życzenia {}",
)
EPOCH = datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC)

_pool = random.Random(SEED)
LINES = [" ".join(_pool.choices(WORDS, k=_pool.randint(7, 13))) for _ in range(4000)]
BLOB = bytes(_pool.getrandbits(8) for _ in range(1 << 18))


def message_id(i):
    return f"<{hashlib.md5(b'%d' % i).hexdigest()}@bench.example.test>"


def encoded_word(text):
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _text(rng, size):
    return "\r\n".join(rng.choices(LINES, k=max(3, size // 52)))


def _base64(rng, size):
    start = rng.randrange(len(BLOB) // 2)
    raw = (BLOB[start:] + BLOB * (size // len(BLOB) + 1))[: size * 3 // 4]
    coded = base64.b64encode(raw).decode()
    return "\r\n".join(coded[k : k + 76] for k in range(0, len(coded), 76))


def message(i, to="user0@example.test"):
    rng = random.Random(SEED * 1000003 + i)
    size = min(60000, max(2000, int(rng.lognormvariate(8.9, 0.9))))
    kind = rng.random()
    if rng.random() < 0.003:
        size, kind = rng.randint(900_000, 1_100_000), 0.9
    subject = rng.choice(SUBJECTS).format(rng.choice(WORDS))
    if rng.random() < 0.05:
        subject = "Quarterly " + subject
    elif rng.random() < 0.33:
        subject = encoded_word(rng.choice(FOREIGN).format(i))
    sender = f"Sender {i % 997} <sender{i % 997}@elsewhere.test>"
    if rng.random() < 0.3:
        sender = f"{encoded_word('Jürgen Ñandú')} <sender{i % 997}@elsewhere.test>"
    date = EPOCH + datetime.timedelta(seconds=i * 311 % (2 * 365 * 86400))
    head = [
        f"Return-Path: <sender{i % 997}@elsewhere.test>",
        f"Received: from relay{i % 7}.elsewhere.test (relay{i % 7}.elsewhere.test [192.0.2.{i % 250}])",
        f"\tby mx.example.test with ESMTPS id {i:08X};",
        f"\t{date:%a, %d %b %Y %H:%M:%S} +0000",
        f"From: {sender}",
        f"To: <{to}>",
        f"Subject: {subject}",
        f"Date: {date:%a, %d %b %Y %H:%M:%S} +0000",
        f"Message-ID: {message_id(i)}",
        "MIME-Version: 1.0",
    ]
    if i and rng.random() < 0.33:
        parent = rng.randrange(max(0, i - 50), i)
        head += [f"In-Reply-To: {message_id(parent)}", f"References: {message_id(parent)}"]
    if rng.random() < 0.2:
        head.append("Cc: " + ",\r\n ".join(f"Copy {k} <copy{k}@elsewhere.test>" for k in range(4)))
    needle = "a zebrafish swims here\r\n" if rng.random() < 0.01 else ""
    mark = f"=_b{i:x}"
    if kind < 0.45:
        head.append("Content-Type: text/plain; charset=utf-8")
        body = needle + _text(rng, size)
    elif kind < 0.8:
        head.append(f'Content-Type: multipart/alternative; boundary="{mark}"')
        html = _text(rng, size * 2 // 3).replace("\r\n", "</p>\r\n<p>")
        body = (
            f"--{mark}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{needle}{_text(rng, size // 3)}\r\n"
            f"--{mark}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><p>{html}</p></html>\r\n--{mark}--"
        )
    else:
        head.append(f'Content-Type: multipart/mixed; boundary="{mark}"')
        body = (
            f"--{mark}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{needle}{_text(rng, min(size // 4, 4000))}\r\n"
            f'--{mark}\r\nContent-Type: application/pdf; name="file{i}.pdf"\r\n'
            f'Content-Disposition: attachment; filename="file{i}.pdf"\r\n'
            f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(rng, size * 3 // 4)}\r\n--{mark}--"
        )
    return ("\r\n".join(head) + "\r\n\r\n" + body + "\r\n").encode()


def sized(i, size, to="user0@example.test"):
    """A plain message of exactly `size` bytes."""
    head = (
        f"From: <sender@elsewhere.test>\r\nTo: <{to}>\r\nSubject: load {i}\r\n"
        f"Date: Mon, 03 Jun 2024 10:00:00 +0000\r\nMessage-ID: <{i}.{size}@bench.example.test>\r\n\r\n"
    ).encode()
    line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-+0123456789ab\r\n"
    room = size - len(head)
    body = line * (room // len(line))
    rest = room - len(body)
    return head + (body + b"x" * (rest - 2) + b"\r\n" if rest >= 2 else body[:-2] + b"x" * rest + b"\r\n")


def wire(data):
    """As sent after DATA: dot-stuffed, with the final dot."""
    return (b"\r\n" + data).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


if __name__ == "__main__":
    p = argparse.ArgumentParser(description="Write N messages to standard output (mbox), or count them.")
    p.add_argument("count", type=int)
    p.add_argument("--mbox", action="store_true")
    a = p.parse_args()
    sizes = []
    for n in range(a.count):
        m = message(n)
        sizes.append(len(m))
        if a.mbox:
            import sys

            sys.stdout.buffer.write(b"From bench Mon Jun  3 10:00:00 2024\n" + m.replace(b"\r\n", b"\n") + b"\n")
    if not a.mbox:
        sizes.sort()
        print(
            {
                "count": a.count,
                "mean": sum(sizes) // a.count,
                "median": sizes[a.count // 2],
                "p90": sizes[a.count * 9 // 10],
                "max": sizes[-1],
            }
        )
