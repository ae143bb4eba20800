"""The policy ``require_signature``: authors all of whose mail must be signed with S/MIME or OpenPGP.

Source: RFC 8551 §3.5, RFC 3156 §5; the word ``smime`` in Authentication-Results is of RFC 7281.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from pymailsuite.config.sections.require_signature import RequireSignatureSettings, SignatureKind
from pymailsuite.dns.names import comparable_domain, is_below
from pymailsuite.interfaces.policy import (
    Action,
    MailTransaction,
    MethodResult,
    PolicyContext,
    PolicyReply,
    Stage,
    Verdict,
)
from pymailsuite.message.headers import field_parameters, first_field
from pymailsuite.policy.author import author_of
from pymailsuite.policy.base import NO_OPINION, Policy

_PROTOCOLS = {
    "application/pkcs7-signature": "smime",
    "application/x-pkcs7-signature": "smime",
    "application/pgp-signature": "pgp",
}
_METHODS = {"smime": "smime", "pgp": "x-pgp"}


def signature_kind(header: bytes) -> str:
    """``smime`` or ``pgp`` if the message as a whole is in the form of a signed one, else empty."""
    body = first_field(header, b"content-type") or b""
    media_type = body.partition(b";")[0].strip().lower()
    parameters = field_parameters(body)
    if media_type == b"multipart/signed":
        return _PROTOCOLS.get(parameters.get("protocol", "").strip().lower(), "")
    if media_type in (b"application/pkcs7-mime", b"application/x-pkcs7-mime"):
        return "smime" if parameters.get("smime-type", "").lower() == "signed-data" else ""
    return ""


class RequireSignaturePolicy(Policy):
    """Looks at the header only."""

    name = "require_signature"

    def __init__(self, settings: RequireSignatureSettings) -> None:
        self._domains = {comparable_domain(domain): kind for domain, kind in settings.domains.items()}
        self.silent_at = frozenset() if settings.domains else frozenset((Stage.MESSAGE,))

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """The verdict on a message that has come in whole."""
        if not self._domains or transaction.message is None:
            return succeed(NO_OPINION)
        header = transaction.message.header
        author = author_of(header)
        if author.malformed:
            # It may be one of theirs to whoever shows it.
            return succeed(_unclear(author.problem))
        for domain_of_author in author.domains:
            for domain, wanted in self._domains.items():
                if is_below(domain_of_author, (domain,)):
                    return succeed(_verdict(domain_of_author, wanted, signature_kind(header)))
        return succeed(NO_OPINION)


def _unclear(problem: str) -> Verdict:
    text = f"Refused: it cannot be told whose message this is ({problem}), and mail from some must be signed here"
    return Verdict(
        Action.REJECT, problem, reply=PolicyReply(550, "5.7.1", text), evidence={"author": "", "problem": problem}
    )


def _verdict(author: str, wanted: SignatureKind, found: str) -> Verdict:
    evidence = {"author": author, "wanted": wanted, "found": found}
    if found and wanted in (found, "any"):
        result = MethodResult(_METHODS[found], "neutral", "there, but not verified here", (("header.from", author),))
        return Verdict(reason=f"signed: {found}", evidence=evidence, results=(result,))
    method = _METHODS.get(wanted, "smime")
    result = MethodResult(method, "none", "all mail of this author must be signed", (("header.from", author),))
    kind = {"smime": "S/MIME", "pgp": "OpenPGP"}.get(wanted, "S/MIME or OpenPGP")
    text = f"Refused: mail from {author} is accepted here only with a signature ({kind})"
    return Verdict(
        Action.REJECT,
        f"not signed: {wanted} is required of {author}",
        reply=PolicyReply(550, "5.7.1", text),
        evidence=evidence,
        results=(result,),
    )


def make_policy(context: PolicyContext) -> RequireSignaturePolicy:
    """For the chain."""
    return RequireSignaturePolicy(context.section)
