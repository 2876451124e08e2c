import { PebblesError } from '../platform/errors.ts'
import type { Outcome, Refused } from './store.ts'

/** What an outcome is counted as. A refusal that is told again is a duplicate as well: nothing was decided anew. */
export function resultOf(outcome: Outcome): 'applied' | 'duplicate' | 'refused' {
  if (outcome.isReplay) return 'duplicate'
  return 'totals' in outcome ? 'applied' : 'refused'
}

/** What a caller is told when the ledger refused an update. */
export function refusalError({ result }: Refused): PebblesError {
  switch (result) {
    case 'forbidden':
      return new PebblesError('forbidden', 'Somebody else started this file; only they can report on it.')
    case 'completed':
      return new PebblesError('file_completed', 'This file is completed; nothing can be added.')
    case 'mismatch':
      return new PebblesError(
        'idempotency_mismatch',
        'This Idempotency-Key was sent before with another update.',
      )
    case 'overflow':
      return new PebblesError('invalid_request', 'Not valid: counts.', {
        faults: [{ field: 'counts', message: 'would add up to more than 2^53 − 1 rows' }],
      })
  }
}
