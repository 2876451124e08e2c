import { CompactSign } from 'jose'
import { SIGNING_ALGORITHM, type SigningKey } from '../../platform/postgres/signing-keys.ts'
import type { Job } from '../job.ts'

/** Names what was signed (RFC 8725 § 3.11), so that nothing else signed with the same key passes for it. */
export const RECEIPT_TYPE = 'pebbles-receipt+jwt'

/** What a receipt says: what ran, and what became of each row, as of one state of an ended job. */
export interface ReceiptClaims {
  /** `urn:pebbles:installation:` and the id of the installation that signs. */
  iss: string
  /** When it was issued, in seconds. */
  iat: number
  jobId: string
  clientKrn: string
  filename: string
  dataset: string
  parentId: string | null
  status: string
  counts: { total: number | null; done: number; failed: number; duplicate: number; corrected: number }
  /** Of the uploaded file, as 64 hexadecimal digits. */
  inputSha256: string
  inputBytes: number
  /** Of `errors.csv`, likewise. */
  reportSha256: string
  createdAt: string
  completedAt: string | null
  /** Of the job: a correction moves it, and makes a new receipt. */
  sequence: number
}

export function receiptClaims(
  job: Job,
  { installation, reportSha256, issuedAt }: { installation: string; reportSha256: string; issuedAt: Date },
): ReceiptClaims {
  return {
    iss: `urn:pebbles:installation:${installation}`,
    iat: Math.floor(issuedAt.getTime() / 1000),
    jobId: job.id,
    clientKrn: job.clientKrn,
    filename: job.filename,
    dataset: job.dataset,
    parentId: job.parentId,
    status: job.status,
    counts: {
      total: job.totalRows,
      done: job.successCount,
      failed: job.failedCount,
      duplicate: job.duplicateCount,
      corrected: job.correctedCount,
    },
    inputSha256: job.sha256,
    inputBytes: job.sizeBytes,
    reportSha256,
    createdAt: job.createdAt.toISOString(),
    completedAt: job.completedAt?.toISOString() ?? null,
    sequence: job.sequence,
  }
}

/** A compact JWS (RFC 7515 § 3.1) over the claims as JSON. */
export function signReceipt(claims: ReceiptClaims, { kid, privateKey }: SigningKey): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: SIGNING_ALGORITHM, typ: RECEIPT_TYPE, kid })
    .sign(privateKey)
}
