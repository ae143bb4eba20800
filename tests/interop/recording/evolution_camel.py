"""Evolution's mail library does a day's work; a program of its own, for the Python that has Debian's bindings.

It prints what it is about to do. After a line that begins with ``@`` it waits for a line: that has happened then.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import gi  # type: ignore[import-not-found,unused-ignore]

gi.require_version("Camel", "1.2")
from gi.repository import Camel, GLib  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

FLAGGED, SEEN, DELETED, ANSWERED = (
    getattr(Camel.MessageFlags, name) for name in ("FLAGGED", "SEEN", "DELETED", "ANSWERED")
)

_LAST_UID = 20


class Session(Camel.Session):  # type: ignore[misc,unused-ignore]
    """Knows the password."""

    def do_authenticate_sync(self, service: Any, mechanism: str, cancellable: Any) -> bool:
        """Log in."""
        service.set_password("test")
        accepted = service.authenticate_sync(mechanism, cancellable) == Camel.AuthenticationResult.ACCEPTED
        return bool(accepted)

    def do_get_filter_driver(self, *_: Any) -> None:
        """There are no filters."""


def step(text: str) -> None:
    """Say what comes next; after an event wait until it has happened."""
    print(text, flush=True)
    if text.startswith("@"):
        sys.stdin.readline()


def until(holds: Callable[[], bool]) -> None:
    """Wait for it."""
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def session_of(base: str) -> Any:
    """A session that thinks itself online; it has to be kept for as long as its stores are used."""
    session = Session(user_data_dir=f"{base}/data", user_cache_dir=f"{base}/cache")
    session.set_online(True)
    return session


def store_of(session: Any, port: int, user: str) -> Any:
    """The store of the account, with all that the program has switches for."""
    store = session.add_service("one", "imapx", Camel.ProviderType.STORE)
    settings = store.ref_settings()
    for name, value in {
        "host": "127.0.0.1",
        "port": port,
        "user": user,
        "auth-mechanism": "PLAIN",
        "security-method": Camel.NetworkSecurityMethod.NONE,
        "use-qresync": True,
        "use-idle": True,
        "send-client-id": True,
        "use-subscriptions": True,
        "check-all": True,
        "real-trash-path": "Trash",
        "use-real-trash-path": True,
        "real-junk-path": "Junk",
        "use-real-junk-path": True,
    }.items():
        settings.set_property(name, value)
    return store


def uid_of(folder: Any, subject: str) -> str | None:
    """The UID of the message with this subject. The list of UIDs itself does not survive the bindings."""
    for uid in map(str, range(1, _LAST_UID)):
        info = folder.get_message_info(uid)
        if info is not None and info.get_subject() == subject:
            return uid
    return None


def sync(folder: Any) -> None:
    """Save changes, and look for those of others."""
    folder.synchronize_sync(False, None)
    folder.refresh_info_sync(None)


def first_day(store: Any, user: str) -> None:
    """First start, reading, marking, moving, answering, and what comes from outside."""
    step("log in and look for folders")
    store.set_online_sync(True, None)
    store.connect_sync(None)
    store.get_folder_info_sync(None, Camel.StoreGetFolderInfoFlags.RECURSIVE, None)
    inbox = store.get_folder_sync("INBOX", 0, None)
    inbox.refresh_info_sync(None)
    step("subscribe and create a folder")
    store.unsubscribe_folder_sync("Projects", None)
    store.subscribe_folder_sync("Projects", None)
    store.create_folder_sync(None, "Clients", None)
    clients = store.get_folder_sync("Clients", 0, None)
    step("read a message with an attachment")
    plans = uid_of(inbox, "Plans with a picture")
    inbox.get_message_sync(plans, None)
    inbox.set_message_flags(plans, SEEN, SEEN)
    step("tag and flag")
    inbox.set_message_user_flag(uid_of(inbox, "Invoice 17"), "$Labelimportant", True)
    inbox.set_message_flags(uid_of(inbox, "Meeting"), FLAGGED | ANSWERED, FLAGGED | ANSWERED)
    sync(inbox)
    step("move, copy and delete")
    inbox.transfer_messages_to_sync([uid_of(inbox, "Lunch"), uid_of(inbox, "Question")], clients, True, None)
    inbox.transfer_messages_to_sync([uid_of(inbox, "Invoice 17")], clients, False, None)
    inbox.set_message_flags(uid_of(inbox, "Holidays"), DELETED | SEEN, DELETED | SEEN)
    sync(inbox)
    clients.refresh_info_sync(None)
    step("save what was sent")
    sent = store.get_folder_sync("Sent", 0, None)
    message = Camel.MimeMessage()
    message.set_subject("Re: Meeting")
    message.set_date(1_770_000_000, 0)
    message.set_message_id("answer@example.test")
    message.set_content(b"I shall come.\r\n", "text/plain")
    information = Camel.MessageInfo.new(None)
    information.set_flags(SEEN, SEEN)
    sent.append_message_sync(message, information, None)
    step("read and mark what somebody shares")
    team = store.get_folder_sync(f"Other Users/{user.partition('@')[0]}-friend/Team", 0, None)
    team.refresh_info_sync(None)
    team.set_message_flags(uid_of(team, "For all of us"), SEEN, SEEN)
    sync(team)
    step("search on the server")
    inbox.count_by_expression('(match-all (body-contains "Grüße"))', None)
    step("new mail while idle")
    inbox.refresh_info_sync(None)
    time.sleep(8)
    step("@deliver Fresh")
    inbox.refresh_info_sync(None)
    until(lambda: uid_of(inbox, "Fresh") is not None)
    step("@flag 8")
    inbox.refresh_info_sync(None)
    until(lambda: bool(inbox.get_message_flags("8") & FLAGGED))
    step("@delete 8")
    inbox.refresh_info_sync(None)
    until(lambda: uid_of(inbox, "Answer") is None)
    step("quota")
    with contextlib.suppress(GLib.Error):
        # Where quotas are not offered this is an error.
        inbox.get_quota_info_sync(None)


def second_day(store: Any) -> None:
    """It was away, and something has happened meanwhile; then it expunges."""
    step("back after a night")
    store.set_online_sync(True, None)
    store.connect_sync(None)
    inbox = store.get_folder_sync("INBOX", 0, None)
    inbox.refresh_info_sync(None)
    until(lambda: uid_of(inbox, "In the night") is not None)
    step("expunge, rename and remove")
    inbox.expunge_sync(None)
    store.rename_folder_sync("Clients", "Projects/Clients", None)
    store.delete_folder_sync("Projects/Clients", None)


def main(base: str, port: str, user: str) -> None:
    """Work in a thread, and let the main loop run beside it."""
    Camel.init(base, False)
    Camel.Provider.init()
    session = session_of(base)
    store = store_of(session, int(port), user)
    loop = GLib.MainLoop()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            first_day(store, user)
            step("offline")
            inbox = store.get_folder_sync("INBOX", 0, None)
            store.set_online_sync(False, None)
            inbox.set_message_flags(uid_of(inbox, "Fresh"), FLAGGED | SEEN, FLAGGED | SEEN)
            step("@deliver In the night")
            step("@delete 2")
            second_day(store)
            store.disconnect_sync(True, None)
        except BaseException as error:
            failed.append(error)
        loop.quit()

    threading.Thread(target=work, daemon=True).start()
    loop.run()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
