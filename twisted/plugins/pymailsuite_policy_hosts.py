"""The declarations by which the checks of client and sender are found."""

from pymailsuite.policy.plugin import PolicyPlugin

helo = PolicyPlugin("helo", "pymailsuite.policy.hosts.helo.make_policy")
sender_domain = PolicyPlugin("sender_domain", "pymailsuite.policy.hosts.sender_domain.make_policy")
iprev = PolicyPlugin("iprev", "pymailsuite.policy.hosts.iprev.make_policy")
dynamic_names = PolicyPlugin("dynamic_names", "pymailsuite.policy.hosts.dynamic_names.make_policy")
early_talkers = PolicyPlugin("early_talkers", "pymailsuite.policy.hosts.early_talkers.make_policy")
client_rates = PolicyPlugin("client_rates", "pymailsuite.policy.hosts.client_rates.make_policy")
