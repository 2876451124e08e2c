import { requireCount, toIssueJson } from './issue.ts'
import { type Counts, type IssueKind, randomKey, type UpdateBody } from './update-queue.ts'

type Issue = NonNullable<UpdateBody[IssueKind]>[number]

export interface ProgressMessageOptions {
  /** The client (tenant) whose file it is. */
  clientKrn: string
  /** Who reports: the first to do so owns the record. */
  email: string
  filename: string
  /** Rows to be added; what is left out is 0. */
  counts?: Partial<Counts> | undefined
  /** Rows expected; sets or changes it. */
  total?: number | undefined
  /** Completes the file: whatever comes after it is refused. */
  isLast?: boolean | undefined
  errors?: readonly Issue[] | undefined
  warnings?: readonly Issue[] | undefined
  /** A name for what it reports, up to 255 characters. Default: a fresh one, so that each call is another update. */
  id?: string | undefined
}

/** An update as it is sent through a queue (Amazon SQS) or a topic (Apache Kafka). */
export interface ProgressMessage extends UpdateBody {
  clientKrn: string
  email: string
  /** It counts once, however often a message with this id arrives, through whichever queue. */
  id: string
  /** When it was made. Messages that are older than ids are kept (28 days) are set aside and not counted. */
  sentAt: string
}

/**
 * Makes the message that reports on a file through a queue or a topic. Make it once, and send the same one again when
 * nobody knows whether it was sent: its `id` and `sentAt` are what Pebbles knows it by.
 *
 * @throws TypeError when a count, the total or a line is not a whole number from 0 up
 */
export function progressMessage(options: ProgressMessageOptions): ProgressMessage {
  const { clientKrn, email, filename, total, isLast, errors = [], warnings = [] } = options
  const counts = { done: 0, warn: 0, failed: 0, ...options.counts }
  for (const [name, rows] of Object.entries(counts)) requireCount(name, rows)
  if (total !== undefined) requireCount('total', total)
  return {
    id: options.id ?? randomKey(),
    sentAt: new Date().toISOString(),
    clientKrn,
    email,
    filename,
    counts,
    ...(total !== undefined && { total }),
    ...(isLast && { isLast }),
    ...(errors.length > 0 && { errors: errors.map(storable) }),
    ...(warnings.length > 0 && { warnings: warnings.map(storable) }),
  }
}

const storable = ({ line, message }: Issue): Issue => JSON.parse(toIssueJson(line, message).json)
