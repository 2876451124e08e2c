-- Up Migration

-- With the records in MongoDB, those of imports are kept here as well, since they commit together with the rows. What
-- moved of them is noted in the same transaction, and copied from here.
alter table installation add column records_in_mongo boolean not null default false;

create table ledger_outbox (
  record_id uuid primary key,
  -- The record's sequence, and up to which of it everything was copied.
  noted bigint not null,
  sent bigint not null default 0,
  -- Errors of the record among what was copied.
  sent_errors bigint not null default 0
);

create index ledger_outbox_open on ledger_outbox (record_id) where noted > sent;

-- Down Migration

drop table ledger_outbox;
alter table installation drop column records_in_mongo;
