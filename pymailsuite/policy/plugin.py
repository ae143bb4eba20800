"""Declares policies as Twisted plugins; the code of a policy is imported when it is wanted."""

from __future__ import annotations

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from pymailsuite.interfaces.policy import IPolicyFactory
from pymailsuite.plugins import NamedMaker


@implementer(IPlugin, IPolicyFactory)
@frozen
class PolicyPlugin(NamedMaker):
    """One policy, declared in a module of ``twisted/plugins/``:

    ``helo = PolicyPlugin("helo", "pymailsuite.policy.hosts.helo.make_policy")``

    ``maker`` is the full name of a function that takes a PolicyContext and answers the policy.
    """
