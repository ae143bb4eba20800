"""Names of earlier releases: read as those of today, and told to the operator."""

from __future__ import annotations

from pymailsuite.config.loader import former_names_in
from pymailsuite.interfaces.overrides import RecipientOverrides
from pymailsuite.server.start_check import warnings_of
from tests.config.test_loader import THREE, ConfigFileCase

FORMER = (
    THREE
    + """
[upkeep]
sweep_interval = "2h"
[own_dns]
dmarc = "reject"
[call_forward]
action = "log"
[policy]
order = ["spf", "call_forward"]
accept_except = ["call_forward"]
[policy.recipients."example.test".actions]
call_forward = "off"
"""
)


class FormerNameTests(ConfigFileCase):
    """Sections and policies under the names that they had."""

    def test_sections_and_policies_are_read_under_their_former_names(self) -> None:
        settings = self.load(FORMER)
        self.assertEqual(settings.maintenance.sweep_interval, 7200.0)
        self.assertEqual(settings.dns_setup.dmarc, "reject")
        self.assertEqual(settings.sender_callout.action, "log")
        self.assertEqual(settings.policy.order, ("spf", "sender_callout"))
        self.assertEqual(settings.policy.accept_except, ("sender_callout",))
        self.assertEqual(settings.policy.recipients["example.test"].actions, {"sender_callout": "off"})

    def test_the_operator_is_told_each_section_to_be_renamed(self) -> None:
        settings = self.load(FORMER)
        told = [
            "[upkeep] is called [maintenance] now",
            "[own_dns] is called [dns_setup] now",
            "[call_forward] is called [sender_callout] now",
        ]
        self.assertEqual(former_names_in(self.path), told)
        self.assertEqual(warnings_of(settings, self.path), [f"{self.path}: {line}" for line in told])

    def test_a_section_under_both_names_is_a_fault(self) -> None:
        self.assertEqual(
            self.fault(THREE + "[upkeep]\n[maintenance]\n"),
            "mail.toml: upkeep: is called maintenance now, which is there too",
        )

    def test_rules_kept_in_the_store_are_read_under_former_names_of_policies(self) -> None:
        kept = RecipientOverrides.model_validate_json('{"actions": {"call_forward": "reject", "spf": "log"}}')
        self.assertEqual(kept.actions, {"sender_callout": "reject", "spf": "log"})
        both = RecipientOverrides(actions={"sender_callout": "off", "call_forward": "reject"})
        self.assertEqual(both.actions, {"sender_callout": "off"})
