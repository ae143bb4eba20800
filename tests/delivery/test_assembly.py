"""From settings and plugins to a planner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Invalid, implementer
from zope.interface.verify import verifyObject

from pymailsuite.config.loader import settings_from
from pymailsuite.delivery.assembly import make_planner
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.delivery import (
    DeliveryMessage,
    DeliveryPlan,
    IDeliveryStep,
    IDeliveryStepFactory,
    StepContext,
)
from pymailsuite.interfaces.policy import Decision
from pymailsuite.plugins import plugins_by_name
from pymailsuite.values import Envelope, Peer, QueueId
from tests.support.delivery import step
from tests.support.logs import captured_logs
from tests.support.stores import make_store

SERVER = {"hostname": "mail.example", "domains": ["example.org"], "data_dir": "/nowhere"}


@implementer(IDeliveryStepFactory)
@frozen
class Factory:
    """Makes steps that write down who is asked, and what they were made from."""

    name: str
    position: int
    asked: list[str]
    contexts: dict[str, StepContext]

    def make(self, context: StepContext) -> DeliveryStep:
        self.contexts[self.name] = context
        if context.options.get("broken"):
            raise KeyError("defect")
        if "is" in context.options:
            return context.options["is"]  # type: ignore[no-any-return]
        return step(self.name, lambda *_: self.asked.append(self.name) or ())


class AssemblyTests(SynchronousTestCase):
    """make_planner."""

    def make(self, delivery: dict[str, Any], **positions: int) -> DeliveryPlanner:
        self.asked: list[str] = []
        self.contexts: dict[str, StepContext] = {}
        settings = settings_from({"server": SERVER, "delivery": delivery}, Path("mail.toml"))
        everybody = {"resolve": 0, "junk": 80, "forward": 90, **positions}
        factories = [Factory(name, number, self.asked, self.contexts) for name, number in everybody.items()]
        nothing: Any = None
        return make_planner(settings, nothing, Clock(), nothing, nothing, factories=factories)

    def order(self, delivery: dict[str, Any], **positions: int) -> list[str]:
        planner = self.make(delivery, **positions)
        message = DeliveryMessage(QueueId("1"), Envelope(None, ()), Peer(""), 0, b"")
        self.assertEqual(planner.plan(message, (), Decision()), DeliveryPlan(()))
        return self.asked

    def test_ours_are_plugins_like_others(self) -> None:
        found = plugins_by_name(IDeliveryStepFactory)
        for name in ("resolve", "junk", "forward"):
            verifyObject(IDeliveryStepFactory, found[name])

    def test_ours_can_be_made(self) -> None:
        settings = settings_from({"server": SERVER}, Path("mail.toml"))
        nothing: Any = None
        context = StepContext({}, settings, "mail.example", make_store(), Clock(), nothing, nothing)
        for name, factory in plugins_by_name(IDeliveryStepFactory).items():
            made = factory.make(context)
            verifyObject(IDeliveryStep, made)
            self.assertEqual(made.name, name)

    def test_others_stand_where_they_say_once_they_have_a_section(self) -> None:
        sections = {"plugins": {"lists": {}, "quota": {}, "archive": {}}}
        self.assertEqual(self.order({}, lists=50), ["resolve", "junk", "forward"])
        self.assertEqual(
            self.order(sections, lists=50, quota=10, archive=50),
            ["resolve", "quota", "archive", "lists", "junk", "forward"],
        )

    def test_the_settings_may_say_another_order(self) -> None:
        steps = ["resolve", "junk", "lists"]
        self.assertEqual(self.order({"steps": steps}, lists=50, quota=10), steps)

    def test_orders_and_sections_that_make_no_sense_are_told(self) -> None:
        for delivery, text in (
            ({"steps": ["resolve", "lists"]}, "delivery.steps: no such step: lists (there are forward, junk, resolve)"),
            ({"plugins": {"lists": {}}}, "delivery.plugins: no such step: lists"),
            ({"steps": ["junk", "resolve"]}, "resolve must be the first"),
            ({"steps": ["resolve", "junk", "junk"]}, "once"),
        ):
            with self.assertRaises(ConfigError) as raised:
                self.make(delivery)
            self.assertIn(text, raised.exception.public)

    def test_a_step_gets_options_of_its_own(self) -> None:
        self.make({"plugins": {"lists": {"below": "Lists"}}}, lists=50)
        self.assertEqual(self.contexts["lists"].options, {"below": "Lists"})
        self.assertEqual((self.contexts["junk"].options, self.contexts["junk"].hostname), ({}, "mail.example"))

    def test_one_that_cannot_be_made_is_named_and_the_others_are_there(self) -> None:
        with captured_logs() as events:
            order = self.order({"plugins": {"lists": {"broken": True}}}, lists=50)
        self.assertEqual(order, ["resolve", "junk", "forward"])
        self.assertEqual([(one["event"], one["plugin"]) for one in events], [("plugins.not_made", "lists")])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_step_keeps_state_under_its_own_name(self) -> None:
        self.make({"plugins": {"lists": {}}}, lists=50)
        context = evolve(self.contexts["lists"], store=make_store())
        self.assertEqual(context.state.name, "step:lists")
        self.assertEqual(self.successResultOf(context.state.add("ann@example.org", 60)), 1)

    def test_what_is_no_step_or_has_the_name_of_another_is_named_and_left_out(self) -> None:
        for made in ("no step", step("junk", lambda *_: ())):
            with captured_logs() as events:
                order = self.order({"plugins": {"lists": {"is": made}}}, lists=50)
            self.assertEqual(order, ["resolve", "junk", "forward"])
            self.assertEqual([(one["event"], one["plugin"]) for one in events], [("plugins.not_made", "lists")])
            self.assertEqual(len(self.flushLoggedErrors(TypeError, Invalid)), 1)
