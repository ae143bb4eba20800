"""Several processes that serve on the same sockets, and the parent that keeps them.

The parent binds the sockets, starts the workers and tells each its settings over a private channel; it takes no
connection and has no store open. It restarts workers that died, and replaces all of them when the configuration is read
anew. Over the channels it also carries the notices of each worker to the others, and what they count together.
"""

from pymailsuite.workers.parent import WorkersService

__all__ = ["WorkersService"]
