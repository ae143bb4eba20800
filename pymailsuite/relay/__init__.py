"""The SMTP client side: MX, connections, TLS, replies."""
