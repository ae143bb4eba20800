"""The checkers by which ``twistd pymailsuite --auth`` proves passwords against pymailsuite's own store and files."""

from pymailsuite.auth.factories import file_checker_factory, store_checker_factory

__all__ = ["file_checker_factory", "store_checker_factory"]
