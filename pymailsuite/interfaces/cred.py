"""The avatars of the realm: what a login gives."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import Attribute, Interface


class IMailAvatar(Interface):
    """An account that has logged in. The realm gives it for each of the interfaces below; logging out is the callable
    cred returns."""

    account = Attribute("Account")
    mail = Attribute("IAccountMail")

    def on_ended(ended: Callable[[], object]) -> None:
        """Call ``ended`` once, in the reactor thread, when what this login was granted is taken away.

        That is when the password has been set, or the account disabled or removed, by whichever process. After logging
        out it is not called any more.
        """


class ISubmissionAvatar(IMailAvatar):
    """May submit mail for relay."""


class IImapAvatar(IMailAvatar):
    """May open an IMAP session."""


class IPop3Avatar(IMailAvatar):
    """May open a POP3 session."""
