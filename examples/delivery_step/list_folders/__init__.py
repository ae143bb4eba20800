"""A delivery step that files mail of mailing lists into mailboxes named after them."""

import re

from attrs import evolve

from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.interfaces.delivery import NOTHING, Place
from pymailsuite.message.headers import first_field

# RFC 2919 §3
_LIST_ID = re.compile(rb"<([a-z0-9_.-]{1,200})>\Z", re.IGNORECASE).search


class ListFolders(DeliveryStep):
    """A copy whose mailbox is not there goes into INBOX."""

    name = "list_folders"

    def __init__(self, below):
        self._below = below

    def decide(self, message, recipients, decision):
        found = _LIST_ID(first_field(message.header, b"list-id") or b"")
        if found is None:
            return NOTHING
        mailbox = f"{self._below}/{found[1].decode().lower()}"
        return [
            Place(one, tuple(evolve(copy, mailbox=mailbox) for copy in one.placements), "it has a List-Id")
            for one in recipients
            if one.placements
        ]


def make_step(context):
    return ListFolders(context.options.get("below", "Lists"))
