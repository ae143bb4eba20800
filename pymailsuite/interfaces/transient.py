"""Values that are made for each message, and forgotten with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as transient
else:
    from attrs import define

    # Frozen to whoever checks types, which is all of us. That nothing can be assigned at run time either would make
    # each of them take four times as long to make, a twentieth of what all checks of a message cost.
    transient = partial(define, unsafe_hash=True)

__all__ = ["transient"]
