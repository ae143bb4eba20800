"""A module a section: every option is declared, documented, typed and given its default in one place."""
