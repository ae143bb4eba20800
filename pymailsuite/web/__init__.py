"""Documents that programs fetch by HTTPS: how to set up an account here, and the MTA-STS policy for other mail servers.

:mod:`~pymailsuite.web.client_settings` knows the documents and no HTTP; :mod:`~pymailsuite.web.pages` chooses the page
for a request, and knows no socket; :mod:`~pymailsuite.web.site` is the server, :mod:`~pymailsuite.web.channel` one of
its connections.
"""

from pymailsuite.web.client_settings import offers_of
from pymailsuite.web.pages import Pages
from pymailsuite.web.site import WebFactory

__all__ = ["Pages", "WebFactory", "offers_of"]
