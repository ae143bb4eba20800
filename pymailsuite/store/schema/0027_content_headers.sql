-- The header of a content once more, to be read without the octets behind it. No row: nobody noted it yet, or it is longer
-- than contents.HEADER_MAX.
CREATE TABLE content_headers (
    content_id {key},
    octets {octets} NOT NULL
);
-- Headers are filled in along with keys.
UPDATE counters SET value = 0 WHERE name = 'keys_filled';
