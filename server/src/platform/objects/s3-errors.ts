import { PebblesError } from '../errors.ts'

/** Status of the answer, or `undefined` when there was none. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode
}

/**
 * What S3 did not do, it may do later: it is away, slow, or does not let us in at the moment.
 *
 * @throws PebblesError `unavailable`
 */
export function s3Away(cause: unknown): never {
  throw new PebblesError('unavailable', 'The files cannot be reached at the moment.', {
    retryAfterSeconds: 5,
    cause,
  })
}
