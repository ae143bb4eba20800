"""The declaration by which the table is found."""

from pymailsuite.directory.tables import LookupTablePlugin

patterns = LookupTablePlugin("patterns", "patterns.make_table")

__all__ = ["patterns"]
