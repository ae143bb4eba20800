"""Mail out of files. Blocking: it runs in a thread."""

import mailbox
import re
from email.utils import mktime_tz, parsedate_tz
from hashlib import blake2b

from pymailsuite.errors import ConfigError
from pymailsuite.message.scan import scan
from pymailsuite.store.plain import PlainMailbox, PlainMessage
from pymailsuite.values import ContentId, MailboxId, SpecialUse, Uid

_LINE_END = re.compile(rb"\r\n|\r|\n")
_SPECIAL_USE = {"Archive": SpecialUse.ARCHIVE, "Junk": SpecialUse.JUNK, "Sent": SpecialUse.SENT}


def load(folder, scan_limits, uid_validity):
    """The mailboxes of each account, by login name. ConfigError if there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(f"store.url: there is no folder {folder}")

    def message(uid, octets, internal_date):
        octets = _LINE_END.sub(b"\r\n", octets)
        # No other message is ever to have it: clients know a message by it from one start to the next (RFC 8474 §5.1).
        content_id = int.from_bytes(blake2b(b"%r %b" % (internal_date, octets), digest_size=7).digest())
        return PlainMessage(Uid(uid), octets, scan(octets, scan_limits), ContentId(content_id), internal_date)

    def mailboxes(account):
        found = {"INBOX": [], **_of_eml_files(account), **_of_mbox_files(account)}
        return [
            PlainMailbox(
                MailboxId(number),
                name,
                uid_validity,
                [message(uid, *one) for uid, one in enumerate(found[name], 1)],
                _SPECIAL_USE.get(name),
            )
            for number, name in enumerate(sorted(found), 1)
        ]

    accounts = sorted(path for path in folder.iterdir() if path.is_dir() and "@" in path.name)
    return {account.name.lower(): mailboxes(account) for account in accounts}


def _of_eml_files(account):
    found = {}
    for path in sorted(account.rglob("*.eml")):
        name = path.parent.relative_to(account).as_posix()
        found.setdefault("INBOX" if name == "." else name, []).append((path.read_bytes(), path.stat().st_mtime))
    return found


def _of_mbox_files(account):
    found = {}
    for path in sorted(account.rglob("*.mbox")):
        box = mailbox.mbox(path, create=False)
        name = path.relative_to(account).with_suffix("").as_posix()
        found[name] = [(box.get_bytes(key), _date(box.get_message(key).get_from())) for key in box.iterkeys()]
        box.close()
    return found


def _date(from_line):
    """POSIX seconds of ``ann@example.org Thu Jan  1 00:00:00 2026``; 0 for what is none."""
    parsed = parsedate_tz(from_line.partition(" ")[2])
    return 0.0 if parsed is None else float(mktime_tz(parsed))
