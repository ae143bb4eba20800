"""From TOML text to settings, and from their declarations to documents."""
