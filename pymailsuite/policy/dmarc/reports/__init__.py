"""Aggregate reports: collected while mail comes in, written and sent once a day, and read. Source: RFC 7489 §7.2 and
appendix C, RFC 9990."""
