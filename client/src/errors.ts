import type { Problem } from './openapi.ts'

/** The service answered, and refused. */
export class PebblesApiError extends Error {
  /** HTTP status, such as 403. */
  readonly status: number
  /** Code of the problem, such as `forbidden` or `file_completed`; `http_<status>` when there was no problem+json. */
  readonly code: string
  /** What the service said (RFC 9457), with every bad field of a bad request. */
  readonly problem: Problem | undefined
  /** Milliseconds after which the service asked to be tried again. */
  readonly retryAfterMs: number | undefined

  constructor(
    status: number,
    { problem, retryAfterMs }: { problem?: Problem | undefined; retryAfterMs?: number | undefined } = {},
  ) {
    super(
      problem ? describeProblem(problem) : `${status} without an answer of Pebbles: is the address right?`,
    )
    this.name = 'PebblesApiError'
    this.status = status
    this.code = problem?.code ?? `http_${status}`
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}

function describeProblem({ status, code, detail, errors = [] }: Problem): string {
  const faults = errors.map(({ field, message }) => `\n  ${field}: ${message}`)
  return `${status} ${code}: ${detail}${faults.join('')}`
}

/** There was no answer, or it was cut off: nobody knows whether the request took effect. `cause` tells why. */
export class PebblesConnectionError extends Error {
  override readonly name = 'PebblesConnectionError'
}

/** The service did not confirm everything in the time that a call waits for it. `cause` is the last failure. */
export class PebblesTimeoutError extends Error {
  override readonly name = 'PebblesTimeoutError'
}

/** Whether the same request may succeed later: no answer, too many requests, or a fault on the service's side. */
export function isRetryable(error: unknown): error is PebblesApiError | PebblesConnectionError {
  if (error instanceof PebblesConnectionError) return true
  if (!(error instanceof PebblesApiError)) return false
  const { status } = error
  return status === 408 || status === 429 || (status >= 500 && status <= 599)
}
