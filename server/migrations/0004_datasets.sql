-- Up Migration

-- Datasets that clients have declared. A version is never changed, since jobs are checked against the one they name;
-- the newest is the one in force. Each dataset of a client has a table of its own, named by a digest of both
-- (datasets/table-postgres.ts).
create table datasets (
  client_krn text collate "C" not null,
  name text collate "C" not null,
  version integer not null,
  -- As json: it is read back in the order in which it was written.
  declaration json not null,
  -- Who declared this version.
  email text collate "C" not null,
  created_at timestamptz(3) not null default now(),
  primary key (client_krn, name, version)
);

-- Down Migration

-- Their tables are not named anywhere else.
do $$
declare
  name text;
begin
  for name in select c.relname from pg_class c
    where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace and c.relname ~ '^dataset_[0-9a-f]{32}$'
  loop
    execute format('drop table %I', name);
  end loop;
end $$;
drop table datasets;
