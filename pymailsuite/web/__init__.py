"""What programs fetch by HTTPS: how to set up an account here, and what we promise other mail servers.

:mod:`~pymailsuite.web.client_settings` knows the documents and no HTTP; :mod:`~pymailsuite.web.pages` knows who is
answered what, and no socket; :mod:`~pymailsuite.web.site` is the server, :mod:`~pymailsuite.web.channel` one of its
connections.
"""

from pymailsuite.web.client_settings import offers_of
from pymailsuite.web.pages import Pages
from pymailsuite.web.site import WebFactory

__all__ = ["Pages", "WebFactory", "offers_of"]
