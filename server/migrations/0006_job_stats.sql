-- Up Migration

-- Counting a client's jobs by status reads this index alone. A job moves in it two or three times in its life; the
-- batches of an import, which leave the status as it is, do not touch it.
create index jobs_client_status on jobs (client_krn, status);

-- Down Migration

drop index jobs_client_status;
