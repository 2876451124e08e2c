-- Up Migration

-- How far windows and late events were published, per partition of the log. It is moved after the topic's transaction
-- was committed, so it may be behind, never ahead: what lies in the topic from `topic_offset` on is looked at first.
create table publications (
  -- aggregates or late.
  kind text collate "C" not null,
  partition smallint not null,
  -- Moves with every change: who read another one has been overtaken.
  version bigint not null default 0,
  -- Up to which all is published: of aggregates a sequence of `closings`, of late events an offset of the log. With a
  -- key, only up to this key of the window.
  sequence bigint not null,
  key text collate "C",
  -- Where it lies, and behind it what may not be noted yet; null until a topic was looked at.
  topic_id text,
  topic_partition integer,
  topic_offset bigint,
  primary key (kind, partition)
) with (fillfactor = 50);

-- Down Migration

drop table publications;
