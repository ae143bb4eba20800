"""SPF: whether a domain permits a host to send mail in its name. Source: RFC 7208.

Each part is of use alone: ``record`` reads what domains publish, ``macros`` expands it, ``evaluator`` answers
check_host(), ``explanation`` fetches what the domain says to those it refuses, ``received_spf`` writes the trace field.
"""

from pymailsuite.policy.spf.evaluator import SpfChecker
from pymailsuite.policy.spf.explanation import explain, read_explanation
from pymailsuite.policy.spf.macros import Macro, MacroError, MacroString, macro_values, parse_macro_string
from pymailsuite.policy.spf.record import Mechanism, Record, RecordError, is_spf_record, parse_record
from pymailsuite.policy.spf.values import Evaluation, Identity, LookUp, Query, Result, Step

__all__ = [
    "Evaluation",
    "Identity",
    "LookUp",
    "Macro",
    "MacroError",
    "MacroString",
    "Mechanism",
    "Query",
    "Record",
    "RecordError",
    "Result",
    "SpfChecker",
    "Step",
    "explain",
    "is_spf_record",
    "macro_values",
    "parse_macro_string",
    "parse_record",
    "read_explanation",
]
