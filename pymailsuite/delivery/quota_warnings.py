"""Tells users, and the postmaster of the domain, that an account is getting full.

The transaction that passes a percentage notes that a warning is due; the message is accepted in the transaction that
notes that it was given. So each is given once, whichever process does it, and also if one dies in between.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.interfaces import Acceptance, LocalRecipient
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.quota import IQuotaStore, QuotaRoot, QuotaWarning
from pymailsuite.message.dates import format_date
from pymailsuite.message.trace import message_id
from pymailsuite.message.transfer import encode_text
from pymailsuite.periodic import PeriodicService
from pymailsuite.values import Address, Envelope, QueueId

_INTERVAL_S: Final = 60.0
"""How often warnings are looked for that a process has left behind when it died."""
_UNITS: Final = ("octets", "KiB", "MiB", "GiB", "TiB")


class QuotaWarner(PeriodicService):
    """Gives the warnings that are due. ``own_messages`` makes and signs them, ``history`` records them, if given."""

    log = Logger()
    failed_event = "quota.warning_failed"

    def __init__(
        self,
        quotas: IQuotaStore,
        settings: QuotaSettings,
        own_messages: OwnMessages,
        host_name: str,
        clock: IReactorTime,
        history: HistoryRecorder | None = None,
    ) -> None:
        super().__init__("quota warner", _INTERVAL_S if settings.warn_at else 0, clock, at_once=True)
        self._quotas = quotas
        self._settings = settings
        self._own_messages = own_messages
        self._host_name = host_name
        self._clock = clock
        self._history = history
        self._lock = DeferredLock()
        quotas.subscribe_warnings(self._wake)

    def _wake(self) -> None:
        # A round that waits for another one will see what is due now.
        if not self._lock.waiting:
            self.soon()

    async def once(self) -> None:
        """Give all that are due, one after the other."""
        await self._lock.acquire()
        try:
            while due := await self._quotas.due_warnings():
                for warning in due:
                    await self._give(warning)
        finally:
            self._lock.release()

    async def _give(self, warning: QuotaWarning) -> None:
        """MailErrors of the store: it stays due."""
        messages = []
        account = warning.account
        if account is not None:
            address = _address(account.login_name)
            mailbox = LocalRecipient(account.account_id, address, login_name=account.login_name)
            messages.append(await self._message(warning, address, (mailbox,)))
        if account is None or self._settings.warn_administrators:
            messages.append(await self._message(warning, Address("postmaster", warning.domain), None))
        is_given = await self._quotas.settle_warning(warning, [one for one in messages if one is not None])
        if is_given:
            self.log.info(
                "{event} {address} has passed {limit} %",
                event="quota.warned",
                address=warning.domain if account is None else account.login_name,
                limit=warning.percent,
            )

    async def _message(
        self, warning: QuotaWarning, recipient: Address, resolved: Recipients | None
    ) -> Acceptance | None:
        octets = warning_message(
            warning, recipient, self._host_name, self._clock.seconds(), to_user=resolved is not None
        )
        envelope = Envelope(None, (recipient,))
        _, acceptance = await self._own_messages.prepare(octets, envelope, "quota", [(recipient, resolved)])
        if acceptance is None or self._history is None:
            return acceptance
        return evolve(acceptance, history=self._history.added(QueueId(""), str(recipient), acceptance))


def _address(login_name: str) -> Address:
    local_part, _, domain = login_name.rpartition("@")
    return Address(local_part, domain)


# --- the message


def warning_message(warning: QuotaWarning, to: Address, host_name: str, now: float, *, to_user: bool) -> bytes:
    """A warning as a message, for the user or for the postmaster of the domain. Source: RFC 5322, RFC 3834 §5."""
    account = warning.account
    whose = f"All accounts of {warning.domain} together" if account is None else f"The account {account.login_name}"
    lines = [
        f"This is the mail server {host_name}.",
        "",
        f"{'Your account' if to_user else whose} {'has' if account else 'have'} passed {warning.percent} % of"
        f" what {'it' if account else 'they'} may hold:",
        "",
        *_used(warning.root),
        "",
    ]
    if to_user:
        lines += [
            "Once it is full, mail for you cannot be delivered any more. Please delete messages that you do",
            "not need, and empty the trash, or ask for more room.",
        ]
    else:
        lines.append("Once the limit is reached, mail cannot be delivered there any more.")
    encoding, text = encode_text("\r\n".join([*lines, ""]).encode("utf-8"))
    of = "Your mailbox" if to_user else "Mailbox quota"
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{host_name}>",
        # An address that is not ASCII has no form here that every program reads; it is in the text.
        f"To: <{to}>" if to.is_ascii else "To: undisclosed-recipients:;",
        f"Subject: {of}: {warning.percent} % used",
        f"Date: {format_date(now)}",
        f"Message-ID: {message_id(host_name)}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f"Content-Type: text/plain; charset={'us-ascii' if encoding == '7bit' else 'utf-8'}",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        "",
    ]
    return "\r\n".join(head).encode("ascii") + text


def _used(root: QuotaRoot) -> list[str]:
    """A line for each limit."""
    usage, limits = root.usage, root.limits
    lines = []
    if limits.storage:
        percent = usage.storage * 100 // limits.storage
        lines.append(f"    {_size(usage.storage)} of {_size(limits.storage)} ({percent} %)")
    if limits.messages:
        percent = usage.messages * 100 // limits.messages
        lines.append(f"    {usage.messages} of {limits.messages} messages ({percent} %)")
    return lines


def _size(octets: int) -> str:
    amount, unit = float(octets), 0
    while amount >= 1024 and unit + 1 < len(_UNITS):
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{octets} octets"
