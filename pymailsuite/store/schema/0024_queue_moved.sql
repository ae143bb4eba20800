-- What they held has moved.
DROP TABLE old_queue_entries;
DROP TABLE old_queue_recipients;
