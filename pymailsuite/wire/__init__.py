"""What the text protocols share and nothing else: bounded lines, dot-stuffing, TLS upgrade, timeouts, back-pressure."""
