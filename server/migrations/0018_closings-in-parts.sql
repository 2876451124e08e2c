-- Up Migration

-- A window of many keys is several entries, each with the keys from one to another. Without them it has all.
alter table closings
  add column first_key text collate "C",
  add column last_key text collate "C";

-- Down Migration

-- All of a window's keys are in its last part then, which nobody has read before the others.
update closings c set keys = p.keys, events = p.events
from (select partition, scope_id, window_start, max(sequence) as sequence, sum(keys) as keys, sum(events) as events
      from closings where last_key is not null group by partition, scope_id, window_start) p
where c.partition = p.partition and c.sequence = p.sequence;
delete from closings c where c.last_key is not null and exists (
  select from closings o
  where o.partition = c.partition and o.scope_id = c.scope_id and o.window_start = c.window_start
    and o.last_key is not null and o.sequence > c.sequence);
alter table closings drop column last_key, drop column first_key;
