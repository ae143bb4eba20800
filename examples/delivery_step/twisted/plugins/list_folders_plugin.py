"""The declaration by which the step is found."""

from pymailsuite.delivery.step import DeliveryStepPlugin

list_folders = DeliveryStepPlugin("list_folders", "list_folders.make_step")
