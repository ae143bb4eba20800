"""POP3, server side: a pure core and a thin shell."""
