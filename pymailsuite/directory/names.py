"""Names that mean the same though they are written differently."""

from __future__ import annotations

import unicodedata

import idna

from pymailsuite.values import Address


def domain_forms(domain: str) -> tuple[str, ...]:
    """All ways a domain may stand in the directory, the given one (in lower case) first.

    A domain with U-labels also has its A-label form and the other way round (RFC 5890 §2.3.2.1); others, address
    literals and what is no valid IDNA2008 name have one form.
    """
    lowered = domain.lower()
    if lowered.isascii() and "xn--" not in lowered:
        return (lowered,)
    try:
        a_form = idna.encode(lowered, uts46=True).decode("ascii")
        u_form = idna.decode(a_form)
    except idna.IDNAError:
        return (lowered,)
    return tuple(dict.fromkeys((unicodedata.normalize("NFC", lowered), a_form, u_form)))


def canonical_domain(domain: str) -> str:
    """The one of the forms that is the same for all spellings of a domain: A-labels, where there are any."""
    forms = domain_forms(domain)
    return next((form for form in forms if form.isascii()), forms[0])


def parse_address(text: str) -> Address:
    """The address ``local@domain`` as people write it; a local part in quotes may hold anything but control characters.
    ValueError."""
    local_part, _, domain = text.strip().rpartition("@")
    if local_part.startswith('"') and local_part.endswith('"') and len(local_part) > 1:
        local_part = local_part[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    controls = any(unicodedata.category(each) in ("Cc", "Cs") for each in local_part)
    if not (local_part and domain) or controls or not domain.isprintable() or " " in domain:
        raise ValueError(f"{text!r} is not an address of the form name@domain")
    return Address(local_part, domain.lower())


def canonical_login(name: str, default_domain: str) -> str:
    """A login name as the directory holds it: lower case, NFC, with ``default_domain`` if it names none.

    With an empty ``default_domain`` a bare local part stays bare. A dot behind the domain says that it is complete, as
    in DNS. Source: RFC 8265 §3.3 (UsernameCaseMapped).
    """
    lowered = unicodedata.normalize("NFC", name.strip().lower())
    if "@" in lowered:
        lowered = lowered.rstrip(".")
    if "@" in lowered or not default_domain:
        return lowered
    return f"{lowered}@{default_domain.lower()}"


def login_key(name: str, default_domain: str) -> str:
    """One form of all login names that lead to one account: the canonical one with the domain in A-labels."""
    canonical = canonical_login(name, default_domain)
    local_part, at, domain = canonical.rpartition("@")
    if not at:
        return canonical
    a_form = next((form for form in domain_forms(domain) if form.isascii()), domain)
    return f"{local_part}@{a_form.rstrip('.')}"
