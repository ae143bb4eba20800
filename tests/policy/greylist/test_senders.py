"""Which senders, and which clients, are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailsuite.policy.greylist.clients import client_named, network_of
from pymailsuite.policy.greylist.senders import compared_sender, without_tag
from pymailsuite.values import Address

FORMS = ("srs", "batv", "tags", "verp")
SAME = [
    ("SRS0=HHH=TT=origin.example=joe", "SRS0=XyZ=UU=origin.example=joe"),
    ("SRS1=HHH=first.example==HHH=TT=origin.example=joe", "SRS1=GGG=first.example==XyZ=UU=origin.example=joe"),
    ("prvs=0123abcdef=joe", "prvs=0456fedcba=joe"),
    ("prvs=joe=0123abcdef", "joe"),
    ("btv1==abc==joe", "joe"),
    ("joe+one", "Joe+two"),
    ("bounce-123-user=example.test", "bounce-456-user=example.test"),
    ("bounces.0a1b2c3d4e5f.news", "bounces.ffee00112233.news"),
]
DIFFERENT = [
    ("joe", "ann"),
    ("SRS0=HHH=TT=origin.example=joe", "SRS0=HHH=TT=origin.example=ann"),
    ("prvs=0123abcdef=joe", "prvs=0123abcdef=ann"),
    ("+joe", "+ann"),
    ("facade", "defaced"),
]


@pytest.mark.parametrize("one, other", SAME)
def test_what_changes_with_every_message_is_left_out(one: str, other: str) -> None:
    senders = [Address(local_part, "client.example") for local_part in (one, other)]
    assert len({compared_sender(sender, FORMS) for sender in senders}) == 1
    assert len({compared_sender(sender, ()) for sender in senders}) == 2


@pytest.mark.parametrize("one, other", DIFFERENT)
def test_different_senders_stay_different(one: str, other: str) -> None:
    senders = [Address(local_part, "client.example") for local_part in (one, other)]
    assert len({compared_sender(sender, FORMS) for sender in senders}) == 2


@given(st.text(max_size=60))
def test_any_sender_has_a_form(local_part: str) -> None:
    assert compared_sender(Address(local_part, "x.example"), FORMS).endswith("@x.example")


def test_the_null_sender_is_empty_and_domains_tell_senders_apart() -> None:
    assert compared_sender(None, FORMS) == ""
    assert compared_sender(Address("joe", "X.example"), FORMS) == "joe@x.example"
    assert without_tag(Address("Joe+x", "X.example")) == "joe@x.example"


@pytest.mark.parametrize(
    "ip, network",
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
        ("local", ""),
    ],
)
def test_a_client_is_known_by_its_network(ip: str, network: str) -> None:
    assert network_of(ip, 24, 64) == network


@pytest.mark.parametrize(
    "text, client",
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("SPF:mail.client.example", "spf:client.example"),
        ("rdns:mx.client.example", "rdns:client.example"),
        ("192.0.2.0/16", ""),
        ("192.0.0.0/16", ""),
        ("client.example", ""),
        ("spf:a..b", ""),
    ],
)
def test_operators_name_a_client_as_they_know_it(text: str, client: str) -> None:
    assert client_named(text, 24, 64) == client
