"""Sphinx configuration."""

from pymailsuite import __version__

project = "pymailsuite"
author = "The pymailsuite authors"
copyright = "The pymailsuite authors"
release = __version__
version = __version__

extensions = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "A mail platform on Twisted", "fixed_sidebar": True, "page_width": "1100px"}
# "--config" is an option, not a dash.
smartquotes = False
nitpicky = True
