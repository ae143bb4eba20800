"""Dialogues of mail programs that are too big for the tests: recorded once from the programs, replayed by the tests."""
