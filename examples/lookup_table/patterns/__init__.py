"""Says by patterns where mail for addresses goes."""

import json
import re
from pathlib import Path

from pymailsuite.directory.tables import LookupTable
from pymailsuite.errors import ConfigError


class Patterns(LookupTable):
    """``patterns``: a target for each, in their order."""

    def __init__(self, patterns):
        self._patterns = patterns

    def lookup(self, key):
        """The target of the first pattern that matches the address."""
        for pattern, target in self._patterns.items():
            if match := pattern.fullmatch(key):
                return [match.expand(target)]
        return None


def make_table(context):
    """The table of the file that the settings name."""
    try:
        targets = json.loads(Path(context.argument).read_text(encoding="utf-8"))
        return Patterns({re.compile(pattern): str(target) for pattern, target in targets.items()})
    except (OSError, ValueError, AttributeError, re.error) as error:
        raise ConfigError(f"directory.tables: {context.argument!r} has no patterns: {error}") from error
