"""Combines the edits of several verdicts. A policy that is asked later sees the edits of the others, and has
precedence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import get_args

from pymailsuite.interfaces.edits import (
    AddField,
    AddRecipient,
    ChangeSender,
    Edit,
    Edits,
    HeaderEdit,
    IMessageSignature,
    Redirect,
    RemoveField,
    RemoveRecipient,
    ReplaceBody,
    ReplaceField,
)
from pymailsuite.interfaces.policy import Stage
from pymailsuite.values import Address

_EDITS = get_args(Edit)


def are_edits(edits: object) -> bool:
    """Whether it is a tuple of edits and nothing else."""
    return isinstance(edits, tuple) and all(isinstance(edit, _EDITS) for edit in edits)


class CombinedEdits:
    """Collects edits in the order in which they are to be done.

    Edits of the header are all done, one after the other. Of others that contradict each other the last one counts.
    """

    def __init__(self) -> None:
        self._header: list[HeaderEdit] = []
        self._body: ReplaceBody | None = None
        self._sender: ChangeSender | None = None
        self._added: dict[Address, None] = {}
        self._removed: dict[Address, None] = {}
        self._redirected: dict[Address, Address] = {}
        self._quarantined: dict[Address, str] = {}
        self._wanted_at_rcpt: set[tuple[str, HeaderEdit]] = set()

    def add(
        self,
        policy: str,
        stage: Stage,
        edits: Iterable[Edit],
        concerned: Collection[Address],
        vouched: Collection[Address],
    ) -> None:
        """What a policy wants at a stage, for those of the recipients whose mail it concerns. ``vouched`` are those for
        whom others vouch for the message: it is not kept from them."""
        header: list[HeaderEdit] = []
        for edit in edits:
            if isinstance(edit, (AddField, ReplaceField, RemoveField)):
                header.append(edit)
            elif isinstance(edit, ReplaceBody):
                self._body = edit
            elif isinstance(edit, ChangeSender):
                self._sender = edit
            elif isinstance(edit, AddRecipient):
                self._removed.pop(edit.address, None)
                self._added[edit.address] = None
            elif isinstance(edit, RemoveRecipient):
                self._added.pop(edit.address, None)
                self._removed[edit.address] = None
            elif isinstance(edit, Redirect):
                whose = concerned if edit.recipient is None else [one for one in concerned if one == edit.recipient]
                self._redirected.update(dict.fromkeys(whose, edit.address))
            else:
                self._quarantined.update(dict.fromkeys([one for one in concerned if one not in vouched], edit.reason))
        if stage is Stage.RCPT:
            # Asked about each recipient, it says the same of each: a field is added once.
            wanted = {(policy, edit) for edit in header}
            header = [edit for edit in header if (policy, edit) not in self._wanted_at_rcpt]
            self._wanted_at_rcpt |= wanted
        self._header += header

    def edits(self, signatures: Iterable[IMessageSignature]) -> Edits:
        """All edits combined; ``signatures`` there are of the message as it came."""
        return Edits(
            tuple(self._header),
            self._body,
            self._sender,
            tuple(self._added),
            frozenset(self._removed),
            self._redirected,
            self._quarantined,
            tuple(signatures) if self._header or self._body is not None else (),
        )
