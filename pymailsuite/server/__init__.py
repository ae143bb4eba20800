"""The server as a whole: put together from what the rooms offer, and what belongs to its process."""
