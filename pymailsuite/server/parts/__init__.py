"""The parts a server is put together from, in the order of the rooms.

Each takes the parts before it, offers what the next ones need, and has its services in the order they start in.
:class:`~pymailsuite.server.service.MailService` lists them.
"""
