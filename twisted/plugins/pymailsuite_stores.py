"""The stores of ours, by the schemes of their URLs."""

from pymailsuite.store.schemes import StoreScheme

sqlite = StoreScheme("sqlite", "pymailsuite.store.schemes.database_store")
postgresql = StoreScheme("postgresql", "pymailsuite.store.schemes.database_store")
postgres = StoreScheme("postgres", "pymailsuite.store.schemes.database_store")
