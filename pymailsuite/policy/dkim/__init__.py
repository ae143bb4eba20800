"""DKIM: signatures verified and made, over mail in any cut. Source: RFC 6376, RFC 8301, RFC 8463, RFC 8616.

What whoever wants a library takes: :func:`verify_message` and :class:`MessageVerifier`, :class:`MessageSigner`, and
the pieces they are made of: tag lists, key records, canonical forms. The policies are in ``policy`` and
``sign_policy``.
"""

from pymailsuite.policy.dkim.body import BodyCanonicalizer, BodyHasher
from pymailsuite.policy.dkim.keys import KeyRecord, KeyRecordError, parse_key_record
from pymailsuite.policy.dkim.private_keys import PrivateKey, SigningKey, generate_key, load_private_key
from pymailsuite.policy.dkim.results import DkimResult, DkimStatus, best
from pymailsuite.policy.dkim.sign import MessageSigner, SigningRules, sign_message
from pymailsuite.policy.dkim.signature import Signature, SignatureError
from pymailsuite.policy.dkim.tags import TagError, parse_tags
from pymailsuite.policy.dkim.verify import MessageVerifier, verify_message

__all__ = [
    "BodyCanonicalizer",
    "BodyHasher",
    "DkimResult",
    "DkimStatus",
    "KeyRecord",
    "KeyRecordError",
    "MessageSigner",
    "MessageVerifier",
    "PrivateKey",
    "Signature",
    "SignatureError",
    "SigningKey",
    "SigningRules",
    "TagError",
    "best",
    "generate_key",
    "load_private_key",
    "parse_key_record",
    "parse_tags",
    "sign_message",
    "verify_message",
]
