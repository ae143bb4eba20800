"""One TOML file, read once into frozen, validated sections; every other room takes its section and knows no file."""
