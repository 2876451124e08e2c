-- Up Migration

-- What each archive is about to write of a partition. It is committed before the objects are, so that whoever comes
-- next, whatever its configuration, writes these and no others; it goes when the position behind it is committed.
-- Positions are in `log_checkpoints`, in groups of their own: offsets of the log, and sequences of `closings`.
create table archive_intents (
  -- raw, aggregates or late.
  kind text collate "C" not null,
  partition smallint not null,
  -- The range: all rows from the first position on, and before the next one.
  first_position bigint not null,
  next_position bigint not null,
  format text collate "C" not null,
  -- As json: an object for each stream in the range, with its name, its rows, and the columns of a Parquet file.
  objects json not null,
  created_at timestamptz(3) not null default clock_timestamp(),
  primary key (kind, partition)
);

-- Rows that are in objects, counted in the transaction that commits the position behind them.
create table archived (
  -- As above; or never: events that left the log while the archive was off.
  kind text collate "C" not null,
  partition smallint not null,
  client_krn text collate "C" not null,
  stream text collate "C" not null,
  archived_rows bigint not null,
  primary key (client_krn, stream, kind, partition)
) with (fillfactor = 50);

-- Processes share partitions among those that read for the same purpose, and not only to aggregate.
alter table aggregators rename to log_readers;
alter table log_readers add column reader_group text collate "C" not null default 'aggregator';
alter table log_readers alter column reader_group drop default;
alter table log_readers drop constraint aggregators_pkey;
alter table log_readers add constraint log_readers_pkey primary key (reader_group, id);

-- Down Migration

delete from log_readers;
alter table log_readers drop constraint log_readers_pkey;
alter table log_readers drop column reader_group;
alter table log_readers add constraint aggregators_pkey primary key (id);
alter table log_readers rename to aggregators;
drop table archived;
drop table archive_intents;
delete from log_checkpoints where reader_group in ('archiver', 'archiver-aggregates', 'archiver-late');
