"""The declaration by which URLs that begin with ``memory:`` are found to be ours."""

from pymailsuite.store.schemes import StoreScheme

memory = StoreScheme("memory", "memory_store.make_store")
