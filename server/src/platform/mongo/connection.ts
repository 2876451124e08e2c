import {
  type Db,
  MongoBulkWriteError,
  MongoClient,
  MongoDriverError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoServerError,
  MongoSystemError,
  MongoTopologyClosedError,
  ReadConcern,
} from 'mongodb'
import { PebblesError } from '../errors.ts'

export interface MongoDatabase extends AsyncDisposable {
  /** The database that the address names. */
  readonly db: Db
  /** Whether it answers; never throws. */
  answers(timeoutMs: number): Promise<boolean>
}

export interface MongoOptions {
  /** `mongodb://…/<database>`; it may hold a password. */
  url: string
  maxConnections: number
}

/**
 * Opens a pool on one MongoDB, a replica set or a sharded cluster. A connection is made when it is first needed.
 *
 * Whatever the address says, a write is acknowledged by a majority that has it in its journal, and a read sees only
 * what a majority has: what was once seen or acknowledged stays when another member becomes the primary. Every wait
 * is bounded, also on a server that froze.
 *
 * @throws PebblesError `misconfigured` when the address cannot be read
 */
export function openMongo({ url, maxConnections }: MongoOptions): MongoDatabase {
  const client = createClient(url, maxConnections)
  const db = client.db(undefined, {
    writeConcern: { w: 'majority', journal: true, wtimeoutMS: 10_000 },
    readConcern: new ReadConcern('majority'),
    readPreference: 'primary',
    ignoreUndefined: true,
  })
  return {
    db,
    async answers(timeoutMs) {
      const asked = db.command({ ping: 1 }).then(
        () => true,
        () => false,
      )
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const timer = setTimeout(resolve, timeoutMs, false)
      return Promise.race([asked, promise]).finally(() => clearTimeout(timer))
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

function createClient(url: string, maxPoolSize: number): MongoClient {
  try {
    return new MongoClient(url, {
      appName: 'pebbles',
      maxPoolSize,
      connectTimeoutMS: 5_000,
      serverSelectionTimeoutMS: 3_000,
      socketTimeoutMS: 15_000,
      waitQueueTimeoutMS: 10_000,
    })
  } catch {
    // The driver's own message may repeat the address, and that may hold a password.
    const message = 'must be as in mongodb://user:password@host:27017/pebbles'
    throw new PebblesError('misconfigured', `MONGO_URI: ${message}`, {
      faults: [{ field: 'MONGO_URI', message }],
    })
  }
}

/**
 * Shutdown, election, not (yet) the primary, time-outs, a majority that cannot be had, stale routing, no room; a user
 * who is not known yet, as on a server that is being set up.
 */
const TRANSIENT_CODES = new Set([
  6, 7, 13, 18, 43, 50, 63, 64, 89, 91, 112, 133, 134, 150, 189, 202, 234, 262, 317, 358, 9001, 10107, 11600,
  11602, 13388, 13435, 13436, 14031,
])
const TRANSIENT_LABELS = ['RetryableWriteError', 'RetryableError', 'TransientTransactionError']

const DUPLICATE_KEY = 11_000

export const isDuplicate = (error: unknown): boolean =>
  error instanceof MongoServerError && error.code === DUPLICATE_KEY

/** True when the same operation may well succeed if it is tried again. It may also have happened already. */
export function isMongoTransient(thrown: unknown): boolean {
  const error = unwrap(thrown)
  if (error instanceof MongoNetworkError || error instanceof MongoSystemError) return true
  if (error instanceof MongoNotConnectedError || error instanceof MongoTopologyClosedError) return true
  if (error instanceof MongoServerError) {
    return (
      TRANSIENT_CODES.has(Number(error.code)) ||
      TRANSIENT_LABELS.some((label) => error.hasErrorLabel(label)) ||
      (error instanceof MongoBulkWriteError && error.result.getWriteConcernError() !== undefined)
    )
  }
  if (error instanceof MongoDriverError) return /Timeout/.test(error.name)
  // A socket's own error gets through the driver when the server has ended the connection just before: it has a code.
  if (error instanceof AggregateError) return error.errors.some(isMongoTransient)
  return error instanceof Error && error.constructor === Error && 'code' in error
}

/** A bulk write hides what the driver threw, such as a broken connection, behind a class for what the server says. */
function unwrap(error: unknown): unknown {
  const inner = error instanceof MongoBulkWriteError && (error.errorResponse as unknown)
  return inner instanceof Error ? inner : error
}

/** What callers are told when the server is away. The cause stays in the log. */
export function mongoAway(cause: unknown): PebblesError {
  return new PebblesError('unavailable', 'The database of records cannot be reached at the moment.', {
    retryAfterSeconds: 2,
    cause,
  })
}

/**
 * Waits for an unordered insert.
 *
 * @returns the places of the documents that were there already; whatever else went wrong is thrown
 */
export async function duplicatesOf(insert: Promise<unknown>): Promise<number[]> {
  try {
    await insert
    return []
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error
    const faults = [error.writeErrors].flat()
    const isOther = faults.length === 0 || faults.some(({ code }) => code !== DUPLICATE_KEY)
    if (isOther || error.result.getWriteConcernError() !== undefined) throw error
    return faults.map(({ index }) => index)
  }
}
