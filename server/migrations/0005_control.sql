-- Up Migration

-- Set while a job is being deleted, which may take many transactions: nothing else may happen to it meanwhile, and a
-- deletion that was interrupted is taken up again by asking once more.
alter table jobs add column deleting_at timestamptz;

-- Refused rows that came back corrected: which row of which job stands for the one that was refused. The primary key
-- is what lets each refused row be corrected once.
create table job_corrections (
  job_id uuid not null,
  row_number bigint not null,
  by_job_id uuid not null,
  by_row_number bigint not null,
  primary key (job_id, row_number)
);
create index job_corrections_by_job on job_corrections (by_job_id);

-- Signed once for each state of an ended job, and given again word for word.
create table job_receipts (
  job_id uuid not null references jobs on delete cascade,
  sequence bigint not null,
  jws text not null,
  created_at timestamptz(3) not null default now(),
  primary key (job_id, sequence)
);

-- Keys of this installation. The newest signs; the public part of every one stays published, for old receipts.
create table signing_keys (
  kid text primary key,
  private_jwk json not null,
  created_at timestamptz not null default now()
);

-- Rows that were imported before ids began as their job's id (datasets/row-id.ts) get such an id, so that all rows of
-- a job are a range.
update customers set id = (left(job_id::text, 26) || lpad(to_hex(row_number), 10, '0'))::uuid
  where left(id::text, 26) <> left(job_id::text, 26);

-- Down Migration

drop table signing_keys;
drop table job_receipts;
drop table job_corrections;
alter table jobs drop column deleting_at;
