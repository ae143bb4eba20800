"""The declaration by which ``twistd`` finds pymailsuite; the code is in :mod:`pymailsuite.tap`."""

from twisted.application.service import ServiceMaker

pymailsuite = ServiceMaker(
    "pymailsuite", "pymailsuite.tap", "A mail platform: SMTP, IMAP and POP3 over one transactional store", "pymailsuite"
)
