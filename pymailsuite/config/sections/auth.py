"""``[auth]``: who may log in, and how passwords are kept."""

from __future__ import annotations

from pydantic import Field, model_validator

from pymailsuite.config.base import Duration, Section


class AuthSettings(Section):
    """Who may log in, and how passwords are kept."""

    checkers: tuple[str, ...] = ("mailstore",)
    """The checkers of passwords, asked in this order until one accepts the password: ``mailstore`` (the accounts of the
    store), ``mailfile:PATH`` (lines of ``name:argon2 hash``), or any checker of ``twistd --help-auth``. A name accepted
    by any other than ``mailstore`` must be the login name of an account."""

    default_domain: str = ""
    """The domain of a login name that has none: ``alice`` logs in as ``alice@`` this domain. Empty: the whole address
    must be given."""

    argon2_time_cost: int = Field(default=2, ge=1)
    """Passes over the memory when a password is hashed. A changed cost is applied to each password at its next
    login."""

    argon2_memory_kib: int = Field(default=19 * 1024, ge=8)
    """KiB of memory that hashing one password takes (OWASP's advice for argon2id: at least 19 MiB in two passes)."""

    argon2_parallelism: int = Field(default=1, ge=1)
    """Lanes of the hash. More than one spends several cores on one login."""

    argon2_most_memory_kib: int = Field(default=256 * 1024, ge=8)
    """KiB that a stored hash may ask for, as one that was made elsewhere may do. A hash above that allows no login."""

    argon2_most_work_mib: int = Field(default=1024, ge=1)
    """MiB times passes that a stored hash may ask for; a second's work of one core, about."""

    scram: bool = False
    """Whether SCRAM-SHA-256 is offered (RFC 7677; with -PLUS where there is TLS), by which no password is sent. It
    needs keys that are kept beside the hash of each password, and are found by trying passwords more easily than the
    hash is. They are made when a password is set, and at the next login with PLAIN or LOGIN; until then a client that
    insists on SCRAM cannot log in to that account. For accounts of ``mailstore``."""

    scram_iterations: int = Field(default=15_000, ge=4096, le=10_000_000)
    """Rounds in which the keys of SCRAM are made, by the server once and by clients at each login."""

    hash_threads: int = Field(default=0, ge=0)
    """Threads that hash passwords; each takes a core while it does. 0: one a core."""

    hash_backlog: int = Field(default=1000, ge=1)
    """Logins that may wait for a thread. Further logins are refused for now, first those of the address that has the
    most waiting. The addresses are served in turn, so that a flood from some does not make others wait."""

    waiting_per_client: int = Field(default=50, ge=1)
    """Of those, logins of one address (IPv6: one /64)."""

    watch_interval: Duration = Field(default=2.0, gt=0, le=3.0)
    """How often the server checks whether the logins in use are still valid. A session ends when the password was set,
    or the account disabled or removed, after its login: within this time and two seconds more. A query for one short
    row each time, unless something has changed; none if nobody is logged in."""

    proved_life: Duration = Field(default=300.0, ge=0)
    """How long a proved password is remembered, as a keyed digest in memory, so that a client that logs in every minute
    costs no hash each time. A changed password is never accepted from memory. 0: not at all."""

    proved_entries: int = Field(default=20_000, ge=0)
    """How many proved passwords are remembered at most."""

    @model_validator(mode="after")
    def _memory_feeds_all_lanes(self) -> AuthSettings:
        # RFC 9106 §3.1: memory is at least 8 * parallelism KiB.
        if self.argon2_memory_kib < 8 * self.argon2_parallelism:
            raise ValueError("argon2_memory_kib must be at least 8 times argon2_parallelism")
        return self
