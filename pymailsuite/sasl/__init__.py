"""SASL mechanisms (RFC 4422), apart from any protocol that carries them."""
