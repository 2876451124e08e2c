-- Up Migration

alter table jobs drop constraint jobs_status_check;
alter table jobs add constraint jobs_status_check
  check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled'));

alter table jobs
  -- The declaration that the file is checked against; 0 for the built-in dataset.
  add column dataset_version integer not null default 0,
  -- The job whose refused rows this file corrects.
  add column parent_id uuid,
  -- Rows refused for being there already; a part of failed_count.
  add column duplicate_count bigint not null default 0,
  -- Rows that a corrected report moved from failed to done; a part of success_count.
  add column corrected_count bigint not null default 0,
  -- How the file is read: encoding, delimiter, header. Null until that was found out.
  add column dialect jsonb;

create index jobs_parent on jobs (parent_id) where parent_id is not null;

-- The ids of imported rows begin as the id of their job and end in the number of the row (datasets/row-id.ts), so the
-- rows of a job are a range of a primary key. No two jobs may begin alike.
create unique index jobs_row_prefix on jobs (left(id::text, 26));

-- A refused row is kept as it stood in the file, byte for byte; its cells are read from that.
alter table job_rejects
  add column raw bytea,
  add column is_duplicate boolean not null default false;
update job_rejects set raw = convert_to(
  (select string_agg('"' || replace(value, '"', '""') || '"', ',')
   from json_each_text(replace(job_rejects.row::text, '\u0000', '')::json)), 'UTF8');
update jobs set dialect = jsonb_build_object('encoding', 'utf-8', 'delimiter', ',', 'quote', '"', 'header',
  (select coalesce(jsonb_agg(key), '[]') from json_object_keys(
    (select replace(r.row::text, '\u0000', '')::json from job_rejects r where r.job_id = jobs.id order by r.row_number limit 1)
  ) as key))
  where exists (select from job_rejects r where r.job_id = jobs.id);
alter table job_rejects
  alter column raw set not null,
  drop column row,
  drop column row_bytes;

-- Down Migration

alter table job_rejects
  add column row json not null default '{}',
  add column row_bytes integer not null default 2,
  drop column is_duplicate,
  drop column raw;
drop index jobs_row_prefix;
drop index jobs_parent;
alter table jobs
  drop column dialect,
  drop column corrected_count,
  drop column duplicate_count,
  drop column parent_id,
  drop column dataset_version;
delete from jobs where status = 'cancelled';
alter table jobs drop constraint jobs_status_check;
alter table jobs add constraint jobs_status_check check (status in ('pending', 'processing', 'completed', 'failed'));
