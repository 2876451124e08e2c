import { type Logger, pino } from 'pino'
import { createRepeats } from './repeats.ts'

export type Log = Logger

/** JSON lines on standard output. What is secret never gets there, wherever in a logged object it stands. */
export function createLog(level: string): Log {
  return pino({
    level,
    redact: ['req.headers.authorization', '*.authorization', '*.password', '*.token', '*.connectionString'],
    serializers: { err: describeError },
  })
}

export type Warn = (message: string, error: Error) => void

/** Warns of what may fail at each attempt for as long as something is away: of each message at once, then once a minute. */
export function createWarn(log: Log): Warn {
  const repeats = createRepeats()
  return (message, err) => repeats.tell(message, (untold) => log.warn({ err, untold }, message))
}

/** Name, message, code, stack and causes; not the properties that drivers attach, which may hold data. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  return { name, message, code, stack, ...(cause !== undefined && { cause: describeError(cause) }) }
}
