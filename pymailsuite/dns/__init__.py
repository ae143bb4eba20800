"""Look-ups without threads, with three kinds of answer: no such name, no data, failed."""
