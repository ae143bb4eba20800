"""DMARC: what an author's domain wants done with mail that is not from it. Source: RFC 7489 and RFC 9989.

``record`` and ``author`` are pure; ``discovery`` finds the policy and the organizational domain in DNS; ``evaluation``
puts them together with the results of SPF and DKIM; ``policy`` is what the chain asks.
"""
