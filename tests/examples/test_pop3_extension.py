"""An outside extension of POP3: a command that sends a message."""

from __future__ import annotations

import unittest

from pymailsuite.pop3.extension import find_extensions
from tests.pop3.support import World
from tests.support.wheels import installed


class Pop3ExtensionTests(unittest.TestCase):
    def test_the_newest_message_is_sent(self) -> None:
        with installed("pop3_extension"):
            world = World(extensions=find_extensions())
            client = world.logged_in()
            client.output()
            self.assertIn(b"\r\nXNEWEST\r\n", client.say("CAPA"))
            self.assertEqual(client.say("XNEWEST"), b"-ERR maildrop is empty\r\n")
            client.say("QUIT")
            world.add(b"Subject: old\r\n\r\n", b"Subject: new\r\n\r\n")
            client = world.logged_in()
            client.output()
            self.assertEqual(client.say("XNEWEST"), b"+OK 16 octets\r\nSubject: new\r\n\r\n.\r\n")
            self.assertEqual(client.say("XNEWEST 1"), b"-ERR no argument allowed\r\n")
