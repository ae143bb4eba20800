"""IMAP, server side: a pure core, a file per command family, and a thin protocol class."""
