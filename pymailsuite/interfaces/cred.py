"""Who logged in: the avatars of the realm."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IMailAvatar(Interface):
    """Who logged in. The realm gives it for each of the interfaces below; logging out is the callable cred returns."""

    account = Attribute("Account")
    mail = Attribute("IAccountMail")


class ISubmissionAvatar(IMailAvatar):
    """May submit mail for relay."""


class IImapAvatar(IMailAvatar):
    """May open an IMAP session."""


class IPop3Avatar(IMailAvatar):
    """May open a POP3 session."""
