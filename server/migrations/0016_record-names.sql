-- Up Migration

-- A record's id is a digest of its client and filename, so the primary key keeps names unique, and a record is looked up
-- by it. This index was read by hardly anybody, and was the dearest of a new record.
drop index records_client_filename_email;

-- Down Migration

create unique index records_client_filename_email on records (client_krn, filename, email);
