"""Our kind of lookup table."""

from pymailsuite.directory.tables import LookupTablePlugin

text = LookupTablePlugin("text", "pymailsuite.directory.text_table.make_table")

__all__ = ["text"]
