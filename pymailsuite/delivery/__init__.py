"""The intake of messages, the plan of what becomes of each, and messages of our own."""
