"""Text of attachments, for searches: what plugins of other packages make of them."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class ITextExtractor(Interface):
    """Makes text of parts of some content types: a Twisted plugin that provides IPlugin too, used where ``[search]
    extractors`` names it."""

    name = Attribute("What the settings call it.")
    content_types = Attribute("The content types it knows, in lower case, such as application/pdf.")
    form = Attribute("Another text whenever it makes other text of the same octets: the index is then made anew.")

    def text(octets: bytes) -> str:
        """The text of a part, its transfer encoding undone, of a bounded number of octets.

        The same for the same octets, as searches must find the same with the index and without. It is called in a
        thread of the store, in the background and by searches, and should take milliseconds: other work of the process
        waits meanwhile. What it raises is logged, and the part then has no text.
        """
