"""Names of mailboxes in both namespace profiles."""

from hypothesis import given
from hypothesis import strategies as st

from pymailsuite.imap.naming import COURIER, PLAIN, MailboxName, Namespace, Naming, of_subscription
from tests.acceptance import acceptance

USER = "ann@example.org"
PROFILES = st.sampled_from([PLAIN, COURIER])
LEVELS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/"), min_size=1)


def _stored(levels: list[str]) -> str:
    """A name as a store keeps it: INBOX in capitals."""
    first, *rest = levels
    inbox = first.isascii() and first.upper() == "INBOX"
    return "/".join(["INBOX" if inbox else first, *rest])


NAMES = st.lists(LEVELS | st.sampled_from(["INBOX", "inbox", "a.b", ".", "=2F"]), min_size=1, max_size=4).map(_stored)
LOGIN_NAMES = st.sampled_from(
    ["bob@example.org", "b.c@example.org", "bob@example.net", "a/b@example.org", '"a@b"@x.org']
)


def naming(profile: object) -> Naming:
    """With namespaces of others."""
    assert profile in (PLAIN, COURIER)
    return Naming(PLAIN if profile is PLAIN else COURIER, "Other Users", "Shared")


@acceptance("S096")
@given(PROFILES, NAMES)
def test_each_name_of_the_store_comes_back(profile: object, name: str) -> None:
    assert naming(profile).profile.personal(naming(profile).profile.wire(name)) == name


@given(NAMES, NAMES)
def test_two_names_of_the_store_are_two_on_the_wire(one: str, other: str) -> None:
    assert (COURIER.wire(one) == COURIER.wire(other)) is (one == other)


@given(PROFILES, NAMES, LOGIN_NAMES, st.sampled_from([Namespace.OTHERS, Namespace.SHARED]))
def test_each_mailbox_of_another_comes_back(profile: object, name: str, owner: str, namespace: Namespace) -> None:
    mailbox = MailboxName(name, namespace, owner)
    wire = naming(profile).wire(mailbox, USER)
    assert wire.startswith(naming(profile).prefix_of(namespace) or "?")
    assert naming(profile).of_others(wire, USER) == mailbox
    assert of_subscription(mailbox.as_subscription()) == mailbox


@given(NAMES)
def test_a_subscription_of_an_own_mailbox_is_its_name(name: str) -> None:
    assert MailboxName(name).as_subscription() == name
    assert of_subscription(name) == MailboxName(name)


@acceptance("S096", "S097")
def test_below_inbox_with_a_dot() -> None:
    wire = {"INBOX": "INBOX", "Work/2024": "INBOX.Work.2024", "v1.0": "INBOX.v1/0", "INBOX/x": "INBOX.INBOX.x"}
    assert {name: COURIER.wire(name) for name in wire} == wire
    assert COURIER.personal("inbox.test1") == COURIER.personal("iNbOx.test1") == "test1"
    assert COURIER.personal("INBOX.TEST1") == "TEST1"
    assert [COURIER.personal(wire) for wire in ("test1", "Inboxes", "INBOX.", "INBOX.inbox", "", ".a")] == [None] * 6


def test_in_the_plain_profile_names_are_the_stores() -> None:
    assert PLAIN.personal("inbox") == "INBOX"
    assert PLAIN.personal("inBox/sub") == "INBOX/sub"
    assert PLAIN.personal("Inboxes") == "Inboxes"
    assert PLAIN.personal("ınbox") == "ınbox"


def test_the_own_domain_is_left_out_of_login_names() -> None:
    bob, far = (MailboxName("Work", Namespace.OTHERS, f"bob@{domain}") for domain in ("example.org", "example.net"))
    assert naming(PLAIN).wire(bob, USER) == "Other Users/bob/Work"
    assert naming(PLAIN).wire(far, USER) == "Other Users/bob@example.net/Work"
    assert naming(COURIER).wire(far, USER) == "Other Users.bob@example/net.Work"
    assert naming(PLAIN).of_others("Other Users/Bob/Work", USER) == bob


def test_names_of_others_end_where_their_levels_are_missing() -> None:
    for wire in (
        "Other Users",
        "Other Users/",
        "Other Users/bob",
        "Other Users/bob/",
        "Other Users//x",
        "Others/bob/x",
    ):
        assert naming(PLAIN).of_others(wire, USER) is None, wire
    assert naming(PLAIN).is_reserved("Other Users")
    assert not naming(PLAIN).is_reserved("Other Users 2/x")
    assert not naming(PLAIN).without_others().is_reserved("Shared/x/y")
    assert not naming(PLAIN).without_others().is_reserved("/x")
