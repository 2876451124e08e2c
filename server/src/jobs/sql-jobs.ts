import type { ClaimedJob, Job } from './job.ts'

/** Columns of a {@link Job}. */
export const JOB_COLUMNS = `id, client_krn, email, filename, ledger_filename, dataset, dataset_version, parent_id,
  object_name, size_bytes, sha256, dialect, status, total_rows, processed_rows, success_count, failed_count,
  duplicate_count, corrected_count, error, sequence, created_at, completed_at`

/** Those, and what a worker needs. */
export const CLAIM_COLUMNS = `${JOB_COLUMNS}, attempt, stalled_attempts, failures, byte_offset, row_number`

// biome-ignore lint/suspicious/noExplicitAny: rows come untyped from the driver; this is where they get their type.
type Row = any

export function toJob(row: Row): Job {
  return {
    id: row.id,
    clientKrn: row.client_krn,
    email: row.email,
    filename: row.filename,
    ledgerFilename: row.ledger_filename,
    dataset: row.dataset,
    datasetVersion: row.dataset_version,
    parentId: row.parent_id,
    objectName: row.object_name,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    dialect: row.dialect,
    status: row.status,
    totalRows: row.total_rows,
    processedRows: row.processed_rows,
    successCount: row.success_count,
    failedCount: row.failed_count,
    duplicateCount: row.duplicate_count,
    correctedCount: row.corrected_count,
    error: row.error,
    sequence: row.sequence,
    createdAt: row.created_at,
    completedAt: row.completed_at,
  }
}

export function toClaimedJob(row: Row): ClaimedJob {
  return {
    ...toJob(row),
    attempt: row.attempt,
    stalledAttempts: row.stalled_attempts,
    failures: row.failures,
    checkpoint: { byteOffset: row.byte_offset, rowNumber: row.row_number },
  }
}
