-- How a message leaves for some of its recipients otherwise than for the rest; JSON, '' where all leave in one way.
ALTER TABLE queue_entries ADD COLUMN other_ways {text} NOT NULL DEFAULT '';
ALTER TABLE queue_recipients ADD COLUMN way SMALLINT NOT NULL DEFAULT 0;
