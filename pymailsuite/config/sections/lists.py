"""Settings of lists: those asked by DNS (``[dnsbl]``), and those kept here (``[lists]``)."""

from __future__ import annotations

import re
from string import Formatter
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pymailsuite.config.base import Duration, FilePath, Section, Size
from pymailsuite.config.sections.policy import PolicySection

ListAction = Literal["reject", "score", "clear", "accept"]
PLACEHOLDERS = ("ip", "name", "zone", "code", "txt")


def _checked_text(text: str) -> str:
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"not a text with placeholders: {error}") from None
    unknown = sorted(set(names) - set(PLACEHOLDERS))
    if unknown:
        raise ValueError(f"no such placeholder: {', '.join(unknown)} (there are {', '.join(PLACEHOLDERS)})")
    return text


class DnsListAnswer(Section):
    """What some answers of a DNS list mean in particular."""

    codes: str
    """The answers, in the form of the list's own ``codes``."""

    text: str = ""
    """The list's ``text`` for these; empty: the same."""

    action: ListAction | None = None
    """The list's ``action`` for these."""

    score: float | None = None
    """The list's ``score`` for these."""

    _text = field_validator("text")(_checked_text)


class DnsList(Section):
    """One list that is asked by DNS."""

    zone: str = Field(min_length=1)
    """The zone whose names are asked for: ``"zen.example.org"``."""

    kind: Literal["ip", "domain", "uri"] = "ip"
    """``ip``: the client's address. ``domain``: the sender's domain, the HELO name and the host name. ``uri``: hosts in
    the addresses of pages and pictures in the message."""

    action: ListAction = "score"
    """What being listed leads to. ``score`` adds to the message's score. ``reject`` refuses. ``clear``: a list of good
    ones; what other DNS lists say does not count. ``accept``: the same, and what other policies object to does not
    count either."""

    score: float = 3.0
    """What being listed adds."""

    codes: str = ""
    """Answers that mean "listed": ``"127.0.0.2"``, ``"127.0.0.4-127.0.0.7"``, ``"127.0.0.4-7"``, ``"127.0.1.0/24"``,
    ``"&0.0.0.6"`` (any of these bits), or several with commas. Empty: all but 127.0.0.1 and those that end in 255.
    Answers outside 127.0.0.0/8 and in 127.255.255.0/24 (the list's own errors) never count."""

    text: str = "{name} is listed at {zone}"
    """What a refused client reads. ``{ip}``, ``{name}`` (what was asked about), ``{zone}``, ``{code}`` and ``{txt}``
    (the list's own explanation, looked up if it is wanted here) are filled in."""

    answers: tuple[DnsListAnswer, ...] = ()
    """What some answers mean in particular: open relays, open proxies, dial-up hosts. The first that fits counts."""

    names: Literal["registered", "full"] = "registered"
    """For ``domain`` and ``uri``: ask about the registered domain, ``example.co.uk``, or about the whole name."""

    _text = field_validator("text")(_checked_text)


class DnsblSettings(PolicySection):
    """``[dnsbl]``: lists of addresses and domains that are asked by DNS (RFC 5782). There are none by default."""

    lists: tuple[DnsList, ...] = ()
    """The lists, each a table ``[[dnsbl.lists]]``. All are asked at the same time."""

    budget: Duration = Field(default=2.0, gt=0)
    """How long to wait for the lists. One that has not answered then, or that fails, lists nothing."""

    uri_hosts: int = Field(default=20, ge=0)
    """Different hosts in one message that ``uri`` lists are asked about, the first ones."""

    message_size: Size = Field(default=256 * 1024, ge=0)
    """How much of a message is looked at for addresses of pages, from its start."""


class ListSource(Section):
    """A list kept elsewhere, fetched or read again when it has changed."""

    name: str = Field(min_length=1)
    """How the log and ``pymailsuite list`` call it."""

    file: FilePath | None = None
    """A file: an entry a line, ``[allow|deny] [kind:]value [comment]``. Read again when it has changed."""

    url: str = ""
    """Or an address, http or https, that such a file is fetched from."""

    verdict: Literal["allow", "deny"] = "deny"
    """What entries without a word of their own say."""

    action: Literal["reject", "junk", "discard"] = "reject"
    """What a deny entry does."""

    interval: Duration = Field(default=3600.0, gt=0)
    """How long after one look at an address the next comes."""

    size_max: Size = Field(default=20_000_000, ge=1)
    """A file of more octets is not taken."""

    entries_min: int = Field(default=1, ge=0)
    """A file of fewer entries is not taken: it is likely to be damaged."""

    sha256: Literal["", "beside"] | str = ""
    """``"beside"``: the digest is fetched from the address with ``.sha256`` behind it. 64 hexadecimal digits: this one.
    A file with another digest is not taken. Empty: no digest is asked for."""

    expiry: Duration = Field(default=0.0, ge=0)
    """How long entries stay when the list can no longer be fetched; 0: as long as the server runs."""

    @model_validator(mode="after")
    def _has_one_place(self) -> ListSource:
        if (self.file is None) == (not self.url):
            raise ValueError("give either file or url")
        if self.url and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"not an http or https address: {self.url!r}")
        if self.sha256 not in ("", "beside") and not re.fullmatch("[0-9A-Fa-f]{64}", self.sha256):
            raise ValueError("sha256 is neither 'beside' nor 64 hexadecimal digits")
        return self


class ListSettings(PolicySection):
    """``[lists]``: clients and senders that this server, one of its domains or one of its users allows or denies.
    Entries are in the store (``pymailsuite list``), in files and at addresses. An entry that allows has precedence over
    all that deny."""

    sources: tuple[ListSource, ...] = ()
    """Files and addresses, each a table ``[[lists.sources]]``; their entries hold for the whole server."""

    refresh: Duration = Field(default=10.0, gt=0)
    """How often files and the store are looked at for changes."""

    text: str = "Refused by a local list"
    """The text of the refusal."""
