"""A store that serves the mail of a folder from memory."""

from memory_store.store import MemoryStore, make_store

__all__ = ["MemoryStore", "make_store"]
