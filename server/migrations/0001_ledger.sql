-- Up Migration

-- Names compare bytewise ("C"): the same order on every server.
create table records (
  -- A digest of client and filename: what makes a record unique, in 16 bytes, and the order of row locks.
  id uuid primary key,
  client_krn text collate "C" not null,
  filename text collate "C" not null,
  email text collate "C" not null,
  done bigint not null,
  warn bigint not null,
  failed bigint not null,
  total bigint,
  is_completed boolean not null,
  errors_total bigint not null,
  warnings_total bigint not null,
  -- One step per applied update: SSE `id`, ETag, and the audit's cursor.
  sequence bigint not null,
  created_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  -- The second of updated_at. Lists are indexed by it and sorted by updated_at within it, so that of the updates of
  -- one record in one second only the first touches an index (the others are HOT).
  listed_at timestamptz(0) not null
)
-- Room on each page for the versions of a second.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

create unique index records_client_filename_email on records (client_krn, filename, email);
-- Ascending and read backwards: of one second the newest rows then come first, and sorting out the top of a page
-- drops the others at a glance (forwards, each was newer than all before it: 20 ms instead of 8 for the first page of
-- 100,000 records made within seconds, bench/ledger-scale.ts).
create index records_client_listed on records (client_krn, listed_at);
create index records_client_email_listed on records (client_krn, email, listed_at);

-- Errors (kind 0) and warnings (kind 1), numbered 1, 2, 3 … within their record, never changed: a window of
-- ordinals is therefore the same at any later time, which is how a stored outcome is given again.
create table issues (
  record_id uuid not null,
  kind smallint not null,
  ordinal bigint not null,
  line bigint not null,
  message text not null,
  primary key (record_id, kind, ordinal)
);

-- The audit: the totals after each applied update. What an update added is the difference to the one before it, and
-- who sent it is the record's owner, so neither is stored again.
create table events (
  record_id uuid not null,
  sequence bigint not null,
  -- Readers of the whole log read below pg_snapshot_xmin(): identity order is not commit order.
  xid xid8 not null default pg_current_xact_id(),
  at timestamptz(3) not null default now(),
  done bigint not null,
  warn bigint not null,
  failed bigint not null,
  total bigint,
  errors_total bigint not null,
  warnings_total bigint not null,
  is_completed boolean not null,
  channel text not null,
  update_id text,
  primary key (record_id, sequence)
);

-- Ids of updates that were decided, kept as long as their channel can deliver them again. Day partitions are
-- made ahead and dropped whole. `id` is a digest of channel, scope and the caller's key; `fingerprint` one of the
-- request. An applied update points at its event; a refused one has only its result.
create table applied_ids (
  day date not null,
  id uuid not null,
  fingerprint uuid not null,
  result text not null,
  record_id uuid,
  sequence bigint,
  primary key (id, day)
) partition by range (day);

create function ensure_applied_ids_days(first date, last date) returns void language plpgsql as $$
declare
  d date;
  name text;
begin
  perform pg_advisory_xact_lock(hashtext('pebbles.applied_ids'));
  for d in select generate_series(first, last, interval '1 day')::date loop
    name := 'applied_ids_' || to_char(d, 'YYYYMMDD');
    -- Making a partition stops all writers for a moment; looking for it does not.
    if to_regclass(name) is null then
      execute format('create table %I partition of applied_ids for values from (%L) to (%L)', name, d, d + 1);
    end if;
  end loop;
end $$;

-- Down Migration

drop function ensure_applied_ids_days;
drop table applied_ids;
drop table events;
drop table issues;
drop table records;
