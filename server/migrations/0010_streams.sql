-- Up Migration

-- Streams that clients have declared. What decides a window (key, time, window, grace, measures) never changes, since
-- events that wait in the log are folded by it; the rules for fields may.
create table streams (
  client_krn text collate "C" not null,
  name text collate "C" not null,
  -- As json: it is read back in the order in which it was written.
  declaration json not null,
  email text collate "C" not null,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  primary key (client_krn, name)
);

-- The event log. One row per partition holds its end; whoever appends locks it until the commit, so that the order of
-- offsets is the order of commits, without gaps: who reads up to an offset has seen everything before it.
create table log_partitions (
  partition smallint primary key,
  next_offset bigint not null default 0
) with (fillfactor = 50);

-- A row is a run: consecutive events of one stream of one client, one JSON object per line. By the day on which they
-- were appended, so that old days are dropped whole.
create table log_runs (
  day date not null,
  partition smallint not null,
  -- Of its last event: "everything from offset n on" is then one range of the index, also from within a run.
  last_offset bigint not null,
  events integer not null,
  client_krn text collate "C" not null,
  stream text collate "C" not null,
  appended_at timestamptz(3) not null,
  -- Whose transaction wrote it: who lost the answer to its COMMIT looks for this.
  append_id uuid not null,
  size_bytes integer not null,
  payloads text not null,
  primary key (partition, last_offset, day)
) partition by range (day);

-- Ids of events that were appended. Whoever looks, looks at two days.
create table event_ids (
  day date not null,
  id uuid not null,
  primary key (id, day)
) partition by range (day);

-- How many events were appended, counted in the transaction that appends them.
create table log_received (
  partition smallint not null,
  client_krn text collate "C" not null,
  stream text collate "C" not null,
  events bigint not null,
  primary key (client_krn, stream, partition)
) with (fillfactor = 50);

create function ensure_log_days(first date, last date) returns void language plpgsql as $$
declare
  d date;
  parent text;
  name text;
begin
  perform pg_advisory_xact_lock(hashtext('pebbles.log_days'));
  for d in select generate_series(first, last, interval '1 day')::date loop
    foreach parent in array array['log_runs', 'event_ids'] loop
      name := parent || '_' || to_char(d, 'YYYYMMDD');
      -- Making a partition stops all writers for a moment; looking for it does not.
      if to_regclass(name) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', name, parent, d, d + 1);
      end if;
    end loop;
  end loop;
end $$;

-- A stream of a client, in four bytes: what aggregates are about.
create table stream_scopes (
  id integer generated always as identity primary key,
  client_krn text collate "C" not null,
  stream text collate "C" not null,
  unique (client_krn, stream)
);

-- How far a group of readers is in each partition. `version` moves with every commit: who read another one has been
-- overtaken and rolls back.
create table log_checkpoints (
  reader_group text collate "C" not null,
  partition smallint not null,
  version bigint not null default 0,
  -- Events before it are decided.
  position bigint not null default 0,
  -- Events from it on are needed to rebuild what is not decided; never behind `position`.
  resume_offset bigint not null default 0,
  -- Closings so far.
  sequence bigint not null default 0,
  primary key (reader_group, partition)
) with (fillfactor = 50);

-- What the aggregator knows of a stream in a partition, as of the checkpoint.
create table scope_progress (
  partition smallint not null,
  scope_id integer not null,
  -- Stream time; the time up to which windows are closed, which stays when a grace is changed; and when the newest
  -- event was appended. Milliseconds of the epoch.
  watermark_ms bigint not null,
  closed_ms bigint not null,
  appended_ms bigint not null,
  -- Events in windows that closed, events that came too late, and events in windows still open.
  counted bigint not null,
  late bigint not null,
  open bigint not null,
  primary key (scope_id, partition)
) with (fillfactor = 50);

-- Closed windows, one row per key: read by key over time, or whole hours over all keys. Inserted in the order of time,
-- so an hour lies together in the table; the primary key holds what a chart of one key needs.
create table aggregates (
  scope_id integer not null,
  key text collate "C" not null,
  window_start timestamptz(3) not null,
  events bigint not null,
  -- The other measures, in the order of the declaration; null when there are none.
  measures double precision[],
  partition smallint not null,
  primary key (scope_id, key, window_start) include (events)
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index aggregates_by_window on aggregates (scope_id, window_start, key) include (events);

-- Windows in the order in which they were closed, all keys of one partition together: what readers of closed windows
-- follow, each partition with a cursor of its own.
create table closings (
  partition smallint not null,
  sequence bigint not null,
  scope_id integer not null,
  window_start timestamptz(3) not null,
  keys integer not null,
  events bigint not null,
  closed_at timestamptz(3) not null default clock_timestamp(),
  primary key (partition, sequence)
);
create index closings_by_window on closings (scope_id, window_start) include (keys, events);

-- Events that came after their window had closed: kept, never counted in silence.
create table late_events (
  partition smallint not null,
  log_offset bigint not null,
  scope_id integer not null,
  key text collate "C" not null,
  window_start timestamptz(3) not null,
  payload text not null,
  seen_at timestamptz(3) not null default clock_timestamp(),
  primary key (partition, log_offset)
);
create index late_events_by_window on late_events (scope_id, window_start);

-- Processes that aggregate at the moment. They share the partitions; who dies is missed when its time is over.
create table aggregators (
  id uuid primary key,
  alive_until timestamptz not null
);

-- Down Migration

drop table aggregators;
drop table late_events;
drop table closings;
drop table aggregates;
drop table scope_progress;
drop table log_checkpoints;
drop table stream_scopes;
drop function ensure_log_days;
drop table log_received;
drop table event_ids;
drop table log_runs;
drop table log_partitions;
drop table streams;
