-- Up Migration

-- A late event may revise the aggregate of its key (LATE_POLICY=revise): what that was when its window closed is kept.
alter table aggregates
  -- How often it was revised.
  add column revision integer not null default 0,
  -- What it was before the first revision; null without one, and when the key was not in the window.
  add column first_events bigint,
  add column first_measures double precision[],
  -- What estimates in `measures` were made from, in the order of these; null when there are none.
  add column sketches bytea[];

-- A revision is an entry of its own in the order of commits; `events` is what it added, so that a sum over entries is
-- what the aggregates have. Without a key it is a window that closed.
alter table closings
  add column key text collate "C",
  add column revision integer,
  -- What the aggregate was afterwards.
  add column total_events bigint,
  add column measures double precision[];

-- Late events that revised an aggregate; they are among `late`, too.
alter table scope_progress add column revised bigint not null default 0;
alter table late_events add column revised boolean not null default false;
create index late_events_revised on late_events (scope_id) where revised;

-- Down Migration

-- Aggregates keep what revisions added; entries of revisions would be read as windows that closed again.
delete from closings where key is not null;
alter table late_events drop column revised;
alter table scope_progress drop column revised;
alter table closings drop column measures, drop column total_events, drop column revision, drop column key;
alter table aggregates
  drop column sketches, drop column first_measures, drop column first_events, drop column revision;
