import { type Logger, pino } from 'pino'

export type Log = Logger

/** JSON lines on standard output. What is secret never gets there, wherever in a logged object it stands. */
export function createLog(level: string): Log {
  return pino({
    level,
    redact: ['req.headers.authorization', '*.authorization', '*.password', '*.token', '*.connectionString'],
    serializers: { err: describeError },
  })
}

/** Name, message, code, stack and causes; not the properties that drivers attach, which may hold data. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  return { name, message, code, stack, ...(cause !== undefined && { cause: describeError(cause) }) }
}
