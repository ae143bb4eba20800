"""The delivery steps of our own."""

from pymailsuite.delivery.step import DeliveryStepPlugin

resolve = DeliveryStepPlugin("resolve", "pymailsuite.delivery.steps.resolve.make_step", position=0)
junk = DeliveryStepPlugin("junk", "pymailsuite.delivery.steps.junk.make_step", position=80)
forward = DeliveryStepPlugin("forward", "pymailsuite.delivery.steps.forward.make_step", position=90)
quota = DeliveryStepPlugin("quota", "pymailsuite.delivery.steps.quota.make_step", position=95)
quarantine = DeliveryStepPlugin("quarantine", "pymailsuite.delivery.steps.quarantine.make_step", position=100)
