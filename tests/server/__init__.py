"""The whole put together: composition, TLS, logs, twistd."""
