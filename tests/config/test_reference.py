"""The sample file and the reference stay in step with the declarations of the options."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pymailsuite.config.loader import load_settings, settings_from
from pymailsuite.config.reference import options_rst, sample_toml, sections, toml_value
from tests.config.test_loader import ConfigFileCase

_REPOSITORY = Path(__file__).parent.parent.parent


class ReferenceTests(ConfigFileCase):
    """Documents derived from declarations."""

    def test_every_option_is_documented(self) -> None:
        bare = [option.key for section in sections() for option in section.options if not option.text]
        self.assertEqual(bare, [])

    def test_every_section_is_documented(self) -> None:
        self.assertEqual([section.name for section in sections() if not section.text], [])

    def test_the_sample_file_loads(self) -> None:
        self.path.write_text(sample_toml(), encoding="utf-8")
        self.assertEqual(load_settings(self.path).server.hostname, "mail.example.com")

    def test_the_defaults_in_the_sample_file_are_the_defaults(self) -> None:
        uncommented = re.sub(r"(?m)^#(\w+ = .*(?<!not set by default))$", r"\1", sample_toml())
        settings = settings_from(tomllib.loads(uncommented), self.path)
        plain = settings_from(tomllib.loads(sample_toml()), self.path)
        self.assertEqual(settings.model_dump(), plain.model_dump())

    def test_the_sample_file_is_not_stale(self) -> None:
        text = (_REPOSITORY / "etc/pymailsuite.toml").read_text(encoding="utf-8")
        self.assertEqual(text, sample_toml(), "run: make generate")

    def test_the_option_reference_names_every_option(self) -> None:
        text = options_rst()
        missing = [option.key for section in sections() for option in section.options if option.key not in text]
        self.assertEqual(missing, [])

    def test_values_survive_toml(self) -> None:
        for value in (True, 3, 2.5, 'a "quoted" ü \n', "tcp:25:interface=\\:\\:", ["a", 1], {"a b": ["x"]}):
            with self.subTest(value=value):
                self.assertEqual(tomllib.loads(f"x = {toml_value(value)}")["x"], value)
