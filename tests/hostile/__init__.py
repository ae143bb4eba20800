"""A stranger against a real server: it answers in bounded time and memory, and nothing breaks."""
