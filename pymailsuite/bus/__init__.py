"""Change notices: from a commit to whoever watches an account or the queue, in this process and in all others.

- :mod:`~.account_notices`: who in this process watches which account. A commit announces, a session subscribes.
- :mod:`~.bridge` joins that, and the queue, to the bus of the process; its poll finds what the bus has lost.
- The bus itself, :class:`~pymailsuite.interfaces.IChangeBus`: of a process alone (:mod:`~.subscriptions`), of a worker
  (:mod:`~.worker`), or carried by the database of the store (:mod:`~.database`; how a database does that is a matter of
  its engine: :class:`~pymailsuite.interfaces.channel.IStoreChannel`).
- :mod:`~.outbox` gathers what is on its way to one process, and :mod:`~.hub` is the parent's part: what one worker
  publishes goes to the others.
"""
