-- Up Migration

-- A record that has had one update is that update's event by itself: a row of its own, with its index, was a third of
-- the WAL of a new record. The totals are the event's, `created_at` is its time, and the rest of it is here; null once
-- the event has a row.
alter table records
  add column first_channel text,
  add column first_update_id text,
  add column first_xid xid8;

-- `events` are all of them, wherever they are.
alter table events rename to event_rows;
create view events as
select * from event_rows
union all
select id, 1::bigint, first_xid, created_at, done, warn, failed, total, errors_total, warnings_total, is_completed,
       first_channel, first_update_id, null::json
from records
where first_channel is not null;

-- Whatever changes the record, its event gets its row before.
create function keep_first_event() returns trigger language plpgsql as $$
begin
  insert into event_rows
  values (old.id, 1, old.first_xid, old.created_at, old.done, old.warn, old.failed, old.total, old.errors_total,
          old.warnings_total, old.is_completed, old.first_channel, old.first_update_id);
  new.first_channel := null;
  new.first_update_id := null;
  new.first_xid := null;
  return new;
end $$;

create trigger keep_first_event before update on records
for each row when (old.first_channel is not null) execute function keep_first_event();

-- Instances of the version before write here.
alter view events alter column xid set default pg_current_xact_id();
alter view events alter column at set default now();
create function insert_event() returns trigger language plpgsql as $$
begin
  insert into event_rows values (new.*);
  return new;
end $$;

create trigger insert_event instead of insert on events
for each row execute function insert_event();

-- Down Migration

update records set first_channel = null where first_channel is not null;
drop view events;
drop function insert_event;
alter table event_rows rename to events;
drop trigger keep_first_event on records;
drop function keep_first_event;
alter table records drop column first_xid, drop column first_update_id, drop column first_channel;
