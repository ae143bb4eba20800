"""How far a command has come that takes long (INPROGRESS). Source: RFC 9585.

Said between responses only: commands note it after a piece of their work.
"""

from __future__ import annotations

from pymailsuite.imap.context import Context


class Progress:
    """What the command ``tag`` tells its client now and then, of ``total`` messages."""

    def __init__(self, context: Context, tag: str, total: int) -> None:
        self._context = context
        self._tag = tag
        self._total = total
        self._every_s = context.settings.progress_interval
        self._said_at = context.connection.seconds()
        self.before = 0
        """Messages that were done before those of :meth:`note`, in other mailboxes."""

    def note(self, done: int) -> None:
        """So many are done; said if it is time."""
        context = self._context
        done += self.before
        now = context.connection.seconds()
        if not self._every_s or now - self._said_at < self._every_s or done >= self._total:
            return
        self._said_at = now
        code = f'[INPROGRESS ("{self._tag}" {done} {self._total})]'
        percent = 100 * done // self._total
        context.out.append(f"* OK {code} {percent} % of the messages are done\r\n".encode("ascii"))
        context.flush()
