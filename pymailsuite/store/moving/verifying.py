"""Whether the files of a backup are what their manifests say."""

from __future__ import annotations

from pymailsuite.store.moving.backup_set import BackupFolder, BackupSet
from pymailsuite.store.moving.pack_file import BackupFault, FileFacts, facts_of
from pymailsuite.store.moving.progress import Progress


def verify_backup(folder: BackupFolder, progress: Progress) -> list[str]:
    """Read all files of all sets; a line for each that is damaged or missing."""
    found: list[str] = []
    segments: dict[str, FileFacts] = {}
    sets: list[BackupSet] = []
    for name in folder.set_names():
        try:
            sets.append(BackupSet(folder, name))
        except BackupFault as fault:
            found.append(fault.public)
    for one in sets:
        segments |= one.manifest.segments
    progress.begin("segments", sum(facts.size for facts in segments.values()), "octets")
    for name, facts in segments.items():
        found += _compare(folder, f"segments/{name}", facts)
        progress.advance(facts.size)
    for one in sets:
        progress.begin(one.name, sum(facts.size for facts in one.manifest.files.values()), "octets")
        for name, facts in one.manifest.files.items():
            found += _compare(folder, f"sets/{one.name}/{name}", facts)
            progress.advance(facts.size)
        found += _misplaced(one)
    return found


def _compare(folder: BackupFolder, name: str, expected: FileFacts) -> list[str]:
    try:
        actual = facts_of(folder.path / name)
    except BackupFault as fault:
        return [fault.public]
    if actual.size != expected.size:
        return [f"{folder.path / name}: {actual.size} octets, it had {expected.size}"]
    return [] if actual == expected else [f"{folder.path / name}: its digest is another"]


def _misplaced(backup: BackupSet) -> list[str]:
    segments = backup.manifest.segments
    try:
        wrong = sum(
            place.segment not in segments or place.offset + place.size > segments[place.segment].size
            for place in backup.places()
        )
    except BackupFault:
        return []  # its digest has told
    return [f"{backup.path}: the octets of {wrong} messages are not in its segments"] if wrong else []
