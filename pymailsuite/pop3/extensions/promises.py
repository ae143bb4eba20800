"""Capabilities without a command: what a client may rely on. Source: RFC 2449 §6, RFC 3206."""

from __future__ import annotations

from pymailsuite.pop3.extension import Pop3Extension
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.pop3.states import State


def _implementation(session: Pop3Session) -> str:
    # A client that has not logged in need not know the software and its version: RFC 2449 §6.9.
    name = session.settings.implementation
    return f"IMPLEMENTATION {name}" if name and session.state is not State.AUTHORIZATION else ""


pipelining = Pop3Extension("pipelining", "PIPELINING", position=30)
resp_codes = Pop3Extension("resp-codes", "RESP-CODES", position=40)
auth_resp_code = Pop3Extension("auth-resp-code", "AUTH-RESP-CODE", position=50)
expire = Pop3Extension("expire", "EXPIRE NEVER", position=60)
implementation = Pop3Extension("implementation", _implementation, position=130)
