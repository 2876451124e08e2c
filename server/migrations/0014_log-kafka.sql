-- Up Migration

-- The Kafka topic whose offsets the checkpoints of this database are. One row, or none when the log is in PostgreSQL.
create table log_topic (
  one boolean primary key default true check (one),
  cluster text not null,
  topic text not null,
  -- A topic that was deleted and made again has another one.
  topic_id uuid not null,
  -- As many as partition keys, whatever the topic is given later.
  partitions smallint not null
);

-- Where in the topic events with an id lie: the first of each id within 24 hours. Readers fill it in the order of
-- offsets, so whoever reads an offset finds here all ids before it. By the day on which the event was appended.
create table log_ids (
  day date not null,
  partition smallint not null,
  id uuid not null,
  log_offset bigint not null,
  appended_ms bigint not null,
  primary key (partition, id, day)
) partition by range (day);

-- How far page views of others, found in another partition than their key belongs to, were appended again where it
-- does.
create table log_adopted (
  partition smallint primary key,
  next_offset bigint not null
) with (fillfactor = 50);

create function ensure_log_id_days(first date, last date) returns void language plpgsql as $$
declare
  d date;
  name text;
begin
  perform pg_advisory_xact_lock(hashtext('pebbles.log_id_days'));
  for d in select generate_series(first, last, interval '1 day')::date loop
    name := 'log_ids_' || to_char(d, 'YYYYMMDD');
    if to_regclass(name) is null then
      execute format('create table %I partition of log_ids for values from (%L) to (%L)', name, d, d + 1);
    end if;
  end loop;
end $$;

-- Down Migration

drop function ensure_log_id_days;
drop table log_adopted;
drop table log_ids;
drop table log_topic;
