/**
 * The one error type of Pebbles and its closed set of codes.
 *
 * A code decides the HTTP status, the title and whether a caller may simply try again; nothing else does.
 * Expected outcomes of the domain (a refused update, a bad row) are values, not errors: they become one of
 * these only at the door where they are answered.
 */
const CODES = {
  invalid_request: { status: 400, title: 'The request is not valid', retryable: false },
  invalid_json: { status: 400, title: 'The body is not valid JSON', retryable: false },
  file_completed: { status: 400, title: 'The file is already completed', retryable: false },
  unauthorized: { status: 401, title: 'A valid bearer token is needed', retryable: false },
  forbidden: { status: 403, title: 'Not allowed', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  in_use: { status: 409, title: 'Already in use', retryable: false },
  wrong_state: { status: 409, title: 'Not possible in this state', retryable: false },
  too_large: { status: 413, title: 'Too large', retryable: false },
  unsupported_media_type: { status: 415, title: 'Unsupported media type', retryable: false },
  idempotency_mismatch: {
    status: 422,
    title: 'The Idempotency-Key was used with another request',
    retryable: false,
  },
  rate_limited: { status: 429, title: 'Too many requests', retryable: true },
  internal: { status: 500, title: 'Something went wrong on our side', retryable: false },
  misconfigured: { status: 500, title: 'The configuration is not valid', retryable: false },
  overloaded: { status: 503, title: 'Too busy at the moment', retryable: true },
  unavailable: { status: 503, title: 'A part that is needed is not available', retryable: true },
} as const

export type ErrorCode = keyof typeof CODES

/** One fault of the input: `field` is a JSON path such as `errors[3].line`, or `header Idempotency-Key`. */
export interface FieldFault {
  field: string
  message: string
}

export interface PebblesErrorOptions {
  /** Every bad field, when the input was refused. */
  faults?: FieldFault[]
  /** Seconds after which trying again makes sense; becomes `Retry-After`. */
  retryAfterSeconds?: number
  cause?: unknown
}

export class PebblesError extends Error {
  readonly code: ErrorCode
  readonly faults: FieldFault[]
  readonly retryAfterSeconds: number | undefined

  /** `message` is read by callers of the API: it never holds a secret, SQL, or an inner error's text. */
  constructor(code: ErrorCode, message: string, options: PebblesErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'PebblesError'
    this.code = code
    this.faults = options.faults ?? []
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  get status(): number {
    return CODES[this.code].status
  }

  get title(): string {
    return CODES[this.code].title
  }

  get retryable(): boolean {
    return CODES[this.code].retryable
  }
}

/** The code whose status is `status`, for errors that a library raised with a status of its own. */
export function codeOfStatus(status: number): ErrorCode {
  const found = (Object.keys(CODES) as ErrorCode[]).find((code) => CODES[code].status === status)
  return found ?? (status >= 500 ? 'internal' : 'invalid_request')
}
