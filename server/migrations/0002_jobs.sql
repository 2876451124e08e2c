-- Up Migration

-- Names this database among those that may share a folder of objects: files without a job are swept, and those of
-- another database's jobs must not be taken for such.
create table installation (
  id uuid primary key default gen_random_uuid()
);
insert into installation default values;

-- One uploaded file each. The row is the job's state, its place in the queue, its lease and its checkpoint, so that
-- all of them move in one transaction with the rows that caused it.
create table jobs (
  id uuid primary key,
  client_krn text collate "C" not null,
  -- Who uploaded it: the owner of its record in the ledger.
  email text collate "C" not null,
  filename text collate "C" not null,
  -- Name of its record in the ledger: the filename, or `customers (2).csv` for the second upload of that name.
  ledger_filename text collate "C" not null,
  ledger_number integer not null,
  dataset text not null,
  object_name text not null,
  size_bytes bigint not null,
  sha256 text not null,
  status text not null check (status in ('pending', 'processing', 'completed', 'failed')),
  -- Fencing token: only the worker that knows the newest number can commit.
  attempt integer not null default 0,
  -- Since the last committed batch: attempts that began (those that a stopping process gave back aside), and attempts
  -- that ended by a fault of ours. The first decide the place in the line, the second when it is enough.
  stalled_attempts integer not null default 0,
  failures integer not null default 0,
  lease_until timestamptz,
  -- Null until the file was counted, or read to its end.
  total_rows bigint,
  processed_rows bigint not null default 0,
  success_count bigint not null default 0,
  failed_count bigint not null default 0,
  -- Checkpoint: where the next row begins, and the number of the last one read. 0: nothing was read.
  byte_offset bigint not null default 0,
  row_number bigint not null default 0,
  -- Why a failed job failed.
  error text,
  -- One step per change that a reader can see: SSE `id`.
  sequence bigint not null default 1,
  idempotency_id uuid,
  idempotency_fingerprint uuid,
  created_at timestamptz(3) not null default now(),
  started_at timestamptz(3),
  completed_at timestamptz(3)
)
-- A batch (but for the first) changes no index column; room on the page lets dead versions be pruned early.
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

create index jobs_client_newest on jobs (client_krn, created_at desc, id desc);
-- First come, first served, but a job that was begun three times and never got further stands behind the others: it may
-- be the one that kills its process.
create index jobs_claimable on jobs (greatest(stalled_attempts - 2, 0), created_at, id)
  where status in ('pending', 'processing');
create index jobs_ledger_number on jobs (client_krn, filename, ledger_number desc);
create unique index jobs_idempotency on jobs (idempotency_id) where idempotency_id is not null;

-- Rows that were refused. `row` is json, not jsonb: it keeps cells that hold U+0000, and the order of the columns.
create table job_rejects (
  job_id uuid not null,
  row_number bigint not null,
  message text not null,
  row json not null,
  -- Known without reading `row`, so that answers can be bounded by size.
  row_bytes integer not null,
  primary key (job_id, row_number)
);

-- No foreign key to jobs: the importer is the only writer, and the check would cost every row a look-up.
create table customers (
  id uuid primary key,
  job_id uuid not null,
  client_krn text collate "C" not null,
  -- Row of the job's file, for telling a later duplicate which row came first.
  row_number bigint not null,
  name text not null,
  email text not null,
  phone text,
  company text not null,
  created_at timestamptz(3) not null default now()
);

create unique index customers_client_email on customers (client_krn, lower(email));

-- Down Migration

drop table customers;
drop table job_rejects;
drop table jobs;
drop table installation;
