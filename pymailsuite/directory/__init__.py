"""Where mail for an address goes."""

from pymailsuite.directory.names import canonical_login, domain_forms, login_key
from pymailsuite.directory.resolver import AliasLoop, RecipientResolver

__all__ = ["AliasLoop", "RecipientResolver", "canonical_login", "domain_forms", "login_key"]
