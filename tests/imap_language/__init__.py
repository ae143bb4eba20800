"""The language half of IMAP: commands read, FETCH rendered, SEARCH evaluated."""
