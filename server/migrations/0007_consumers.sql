-- Up Migration

-- Where each group is in each partition of a log. A position commits together with the updates up to it: this, not
-- the log's own memory, is the truth.
create table log_positions (
  cluster text collate "C" not null,
  -- The topic's id, not its name: one that was made again starts anew.
  topic_id text collate "C" not null,
  partition integer not null,
  reader_group text collate "C" not null,
  next_offset bigint not null,
  updated_at timestamptz(3) not null default now(),
  primary key (cluster, topic_id, partition, reader_group)
);

-- Several updates of one record in one batch are one row: the newest one's totals in the columns as ever, and those of
-- the ones before it here, oldest first: [done, warn, failed, total, errors_total, warnings_total, update_id].
alter table events add column earlier json;

-- Updates of queues and logs that were refused: their sender hears of it from nobody else.
create table refusals (
  record_id uuid not null,
  id bigint generated always as identity,
  at timestamptz(3) not null default now(),
  channel text not null,
  update_id text,
  email text not null,
  result text not null,
  done bigint not null,
  warn bigint not null,
  failed bigint not null,
  primary key (record_id, id)
);

-- Ids of messages that were decided, as applied_ids has those of requests. A queue keeps a message for 14 days, its
-- dead-letter queue for as many again, and who looks for an id has to look at every partition: hence weeks.
create table message_ids (
  week date not null,
  id uuid not null,
  fingerprint uuid not null,
  result text not null,
  record_id uuid,
  sequence bigint,
  primary key (id, week)
) partition by range (week);

create function ensure_message_ids_weeks(first date, last date) returns void language plpgsql as $$
declare
  d date;
  name text;
begin
  perform pg_advisory_xact_lock(hashtext('pebbles.message_ids'));
  for d in select generate_series(date_trunc('week', first), last, interval '7 days')::date loop
    name := 'message_ids_' || to_char(d, 'YYYYMMDD');
    -- Making a partition stops all writers for a moment; looking for it does not.
    if to_regclass(name) is null then
      execute format('create table %I partition of message_ids for values from (%L) to (%L)', name, d, d + 7);
    end if;
  end loop;
end $$;

-- Down Migration

drop function ensure_message_ids_weeks;
drop table message_ids;
drop table refusals;
-- Rows of several updates cannot be told by the schema before.
alter table events drop column earlier;
drop table log_positions;
