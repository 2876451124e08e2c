import type { Duplex } from 'node:stream'
import pg from 'pg'
import { PebblesError } from '../errors.ts'

/** Numbers that Pebbles stores stay below 2^53, so a bigint is a number here, not a string. */
const types = {
  getTypeParser(oid: number, format?: string) {
    if (oid === pg.types.builtins.INT8) return Number
    return pg.types.getTypeParser(oid, format as 'text')
  },
} as pg.CustomTypesConfig

/** One appends, the others read and commit partitions. */
const STREAM_CONNECTIONS = 4

export interface Database extends AsyncDisposable {
  /** Reads and short transactions. */
  readonly pool: pg.Pool
  /** For leases and commits of jobs, which no rush of readers may hold up. */
  readonly jobs: pg.Pool
  /** In pipeline mode, for the event log and its readers, which nothing else may hold up. */
  readonly streams: pg.Pool
  /** Connections in pipeline mode, for the ledger's two-step transactions. */
  readonly lanes: pg.Pool
  /** The same for batches of logs, which are large: no caller waits behind one. */
  readonly logs: pg.Pool
  readonly url: string
}

export interface DatabaseOptions {
  url: string
  maxConnections: number
  maxLanes: number
  maxJobConnections: number
  log: (message: string, error: Error) => void
}

/**
 * Opens the pools of one PostgreSQL. A connection is made when it is first needed.
 *
 * Every wait is bounded: on a server that froze, a query ends with an error and its connection is thrown away; a
 * process that froze inside a transaction loses it, so that others get at its rows.
 */
export function openDatabase({
  url,
  maxConnections,
  maxLanes,
  maxJobConnections,
  log,
}: DatabaseOptions): Database {
  const shared: pg.PoolConfig = {
    connectionString: url,
    types,
    application_name: 'pebbles',
    // A machine that comes to a halt for some seconds must not end a start, nor cost an answer.
    connectionTimeoutMillis: 10_000,
    idle_in_transaction_session_timeout: 10_000,
    keepAlive: true,
  }
  const pool = new pg.Pool({
    ...shared,
    max: maxConnections,
    query_timeout: 30_000,
    statement_timeout: 30_000,
  })
  const jobs = new pg.Pool({
    ...shared,
    max: maxJobConnections,
    query_timeout: 30_000,
    statement_timeout: 30_000,
  })
  const streams = new pg.Pool({
    ...shared,
    max: STREAM_CONNECTIONS,
    query_timeout: 30_000,
    statement_timeout: 30_000,
    pipeline: true,
  } as pg.PoolConfig)
  const pipelined = {
    ...shared,
    max: maxLanes,
    idleTimeoutMillis: 0,
    pipeline: true,
    // The ledger's statements are prepared once and must use their indexes from the first row to the last; a plan
    // made while a table was empty would scan it for ever.
    options:
      '-c datestyle=ISO -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan',
  }
  const lanes = new pg.Pool({ ...pipelined, query_timeout: 15_000, statement_timeout: 10_000 })
  const logs = new pg.Pool({ ...pipelined, query_timeout: 35_000, statement_timeout: 30_000 })
  // The pools end before their sockets do, and the embedded server may be the quicker one.
  let isClosing = false
  for (const each of [pool, jobs, streams, lanes, logs]) {
    each.on('error', (error) => {
      if (!isClosing) log('an idle database connection broke', error)
    })
    // The pool listens only while it holds a connection. One that breaks while lent, or on its way out, must not end
    // the process; whoever uses it learns from the next query.
    each.on('connect', (client) => client.on('error', () => {}))
  }
  return {
    url,
    pool,
    jobs,
    streams,
    lanes,
    logs,
    async [Symbol.asyncDispose]() {
      isClosing = true
      await Promise.all([pool.end(), jobs.end(), streams.end(), lanes.end(), logs.end()])
    },
  }
}

/** Lends a connection to `work`. After an error it is rolled back, and thrown away when even that fails. */
export async function withConnection<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    return await work(client)
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure
    })
    throw error
  } finally {
    client.release(broken)
  }
}

/** What is exact here counts on each statement seeing what was committed before it, whatever a role's default is. */
export const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED'

/** Runs `work` in a transaction on a pooled connection. */
export function inTransaction<T>(pool: pg.Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  return withConnection(pool, async (client) => {
    await client.query(BEGIN)
    const result = await work(client)
    await client.query('COMMIT')
    return result
  })
}

/** Waits for every query of a pipeline, so that the connection is in step again, then throws the first error. */
export async function settle<const T extends readonly Promise<unknown>[]>(
  queries: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const results = await Promise.allSettled(queries)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never
}

/**
 * Sends the queries of a pipeline in one write and waits for all of them. The driver writes each query by itself,
 * and where a system call is dear (virtual machines) that was a third of the ledger's time on a batch.
 *
 * All of them are sent, or none: of a statement that could not be made, or that the driver refuses, the server does not
 * hear, and the COMMIT behind it would commit the others.
 *
 * @param onSent  is called when they are on their way, so that from then on nobody knows what became of them
 */
export async function inOneFlush<const T extends readonly Promise<unknown>[]>(
  client: pg.ClientBase,
  queries: () => T,
  onSent = () => {},
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection
  stream.cork()
  let sent: T
  try {
    sent = queries()
    let isRefused = false
    for (const query of sent)
      query.catch(() => {
        isRefused = true
      })
    // The driver tells it in the next tick; after the one behind that, everybody has heard of it.
    await nextTick()
    await nextTick()
    if (isRefused) stream.destroy()
    else onSent()
  } finally {
    stream.uncork()
  }
  return settle(sent)
}

const nextTick = () => new Promise<void>((resolve) => process.nextTick(resolve))

/**
 * Serialization, deadlock, time-outs, too many connections or too little room, shutdown; a database that is away, or is
 * not the primary yet.
 */
const TRANSIENT_STATES = new Set(
  '40001 40P01 55P03 57014 53100 53200 53300 57P01 57P02 57P03 25P03 25P04 25006 55000 3D000 28P01 28000'.split(
    ' ',
  ),
)

/** True when the same transaction may well succeed if it is tried again. */
export function isTransient(error: unknown): boolean {
  return isConnectionLoss(error) || TRANSIENT_STATES.has(sqlState(error) ?? '')
}

/** True when the connection could not be made, went away, or does not answer. */
export function isConnectionLoss(error: unknown): boolean {
  if (sqlState(error) !== undefined) return isUnanswered(error)
  if (error instanceof AggregateError) return error.errors.some(isConnectionLoss)
  // All of these are plain errors; faults of ours, and mistakes in calling Node, have a class.
  if (!(error instanceof Error) || error.constructor !== Error) return false
  return 'code' in error || SAID_OF_CONNECTIONS.test(error.message)
}

/**
 * What sockets, TLS and name resolution throw has a code. What the driver and its pool say of a connection has nothing
 * but its words; they also refuse statements (a name used twice, values that are no list), which no waiting mends.
 */
const SAID_OF_CONNECTIONS =
  /^(Connection terminated|Query read timeout|timeout ex|Client (has encountered|was closed)|Cannot use a pool after|The server does not support SSL|There was an error establishing an SSL|SASL: |Received unexpected)/

/**
 * True when the server did not say what became of what it was sent, so that a COMMIT in flight may or may not have
 * happened. Whatever went wrong here says nothing about there.
 */
export function isUnanswered(error: unknown): boolean {
  const state = sqlState(error)
  return state === undefined || state.startsWith('08') || state.startsWith('57P')
}

/** The five-character SQLSTATE, when PostgreSQL itself answered. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

/** What callers are told when the database is away. The cause stays in the log. */
export function databaseAway(cause: unknown): PebblesError {
  return new PebblesError('unavailable', 'The database cannot be reached at the moment.', {
    retryAfterSeconds: 2,
    cause,
  })
}

/** What a query found, or `unavailable` when the database is away. */
export async function orAway<T>(query: Promise<T>): Promise<T> {
  try {
    return await query
  } catch (error) {
    throw isTransient(error) ? databaseAway(error) : error
  }
}
