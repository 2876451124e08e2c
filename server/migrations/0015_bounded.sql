-- Up Migration

-- Totals of windows that are still open, taken out of the memory of a process that had too many. Their events lie
-- before the resume offset of the partition, so they are in no other totals. They go when their window closes.
create table parked_totals (
  partition smallint not null,
  scope_id integer not null,
  window_start timestamptz(3) not null,
  key text collate "C" not null,
  -- Of the checkpoint that parked them: a key that comes again may be parked again.
  version bigint not null,
  events bigint not null,
  -- As in aggregates.
  measures double precision[],
  sketches bytea[],
  primary key (partition, scope_id, window_start, key, version)
);

-- Windows that have parked totals, with the events in these.
create table parked_windows (
  partition smallint not null,
  scope_id integer not null,
  window_start timestamptz(3) not null,
  events bigint not null,
  primary key (partition, scope_id, window_start)
) with (fillfactor = 50);

-- Parts of the work that a process has: who comes or goes moves no more of them than it has to.
alter table log_readers add column parts smallint[] not null default '{}';

-- Down Migration

alter table log_readers drop column parts;
-- What was parked is rebuilt from the log.
update log_checkpoints set version = version + 1, resume_offset = 0
where reader_group = 'aggregator' and partition in (select partition from parked_windows);
drop table parked_windows;
drop table parked_totals;
