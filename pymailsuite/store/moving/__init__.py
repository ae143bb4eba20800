"""Moving whole stores: copies from one database to another, backups, and restoring from them.

Everything here works on the tables as :mod:`pymailsuite.store.tables` reads them from the schema, so a table that is
added later is included without further code.

- :mod:`~.rows` and :mod:`~.filling` make one store's rows another's, whatever the source is, and verify it;
- :mod:`~.copying` does it from store to store, most of it while the source is in use;
- :mod:`~.segments` and :mod:`~.sets` are the files of a backup, :mod:`~.backup` writes them;
- :mod:`~.restoring` fills an empty store from a set, :mod:`~.returning` brings single mailboxes back into one in use.
"""

from pymailsuite.store.moving.backup import back_up
from pymailsuite.store.moving.backup_set import BackupFolder, BackupSet
from pymailsuite.store.moving.copying import copy_store
from pymailsuite.store.moving.progress import Progress
from pymailsuite.store.moving.restore_store import restore_store
from pymailsuite.store.moving.verifying import verify_backup

__all__ = ["BackupFolder", "BackupSet", "Progress", "back_up", "copy_store", "restore_store", "verify_backup"]
