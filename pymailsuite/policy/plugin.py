"""Declares policies as Twisted plugins; the code of a policy is imported when it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from attrs import frozen
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

from pymailsuite.interfaces.policy import IPolicy, IPolicyFactory, PolicyContext


@implementer(IPlugin, IPolicyFactory)
@frozen
class PolicyPlugin:
    """One policy, declared in a module of ``twisted/plugins/``:

    ``helo = PolicyPlugin("helo", "pymailsuite.policy.hosts.helo.make_policy")``

    ``maker`` is the full name of a function that takes a PolicyContext and answers the policy.
    """

    name: str
    maker: str

    def make(self, context: PolicyContext) -> IPolicy:
        """The policy; ImportError and AttributeError if its code cannot be found."""
        make = cast(Callable[[PolicyContext], IPolicy], namedAny(self.maker))
        return make(context)
