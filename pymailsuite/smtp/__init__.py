"""SMTP and submission, server side: a pure core and a thin shell."""
