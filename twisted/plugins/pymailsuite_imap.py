"""Everything our IMAP server can do."""

from pymailsuite.imap.plugin import ImapExtensions

extensions = ImapExtensions("pymailsuite", "pymailsuite.imap.extensions.make_extensions")
