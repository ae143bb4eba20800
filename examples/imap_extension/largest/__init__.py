"""XLARGEST: which messages of the selected mailbox are largest. X-PARTS: of how many MIME parts a message is made."""

import heapq
from operator import itemgetter

from attrs import frozen

from pymailsuite.imap.extension import FetchAttribute, ImapCommand, ImapExtension, after_login
from pymailsuite.imap.fetch import Text
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command
from pymailsuite.interfaces import Column
from pymailsuite.values import ALL_UIDS


@frozen
class Largest(Command):
    count: int


def parse(cursor, tag):
    cursor.space()
    return Largest(tag, cursor.nz_number())


async def largest(context, command):
    view = context.selected

    def pick(rows):
        return heapq.nlargest(command.count, [row for row in rows if view.number_of(row[0])], key=itemgetter(1))

    for row in await context.mail.read_messages(view.mailbox_id, ALL_UIDS, (Column.UID, Column.SIZE), pick):
        context.out.append(b"* XLARGEST UID %d SIZE %d\r\n" % row)
    return b"OK XLARGEST completed"


def count_parts(batch):
    return ([sum(1 for _ in table.root.walk()) for table in batch.tables],)


x_parts = FetchAttribute("X-PARTS", lambda _: Text(b"X-PARTS %d", (Column.PARTS,), count_parts))
x_largest = ImapCommand("XLARGEST", SELECTED, largest, parse)
extension = ImapExtension("largest", after_login("XLARGEST"), commands=(x_largest,), fetch_attributes=(x_parts,))
