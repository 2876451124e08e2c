import type { Log } from '../../platform/log.ts'
import { resultOf } from '../outcome.ts'
import type { LogOutcome } from '../store.ts'
import type { MessageResult, Tally } from './consumer.ts'
import type { Place, ReadStretch } from './kafka-messages.ts'

/** Places that are named in a log line; the refusals themselves are in the database. */
const NAMED = 10

/** Tells what became of the messages of a batch: numbers for the metrics, a line in the log for what was not applied. */
export function reportOutcomes(
  { topic, partition }: Place,
  { updates, letters, from }: ReadStretch,
  { outcomes }: LogOutcome,
  { tally, log }: { tally: Tally; log: Log },
): void {
  const count: Record<MessageResult, number> = {
    applied: 0,
    duplicate: 0,
    refused: 0,
    invalid: letters.length,
    too_old: 0,
  }
  const refused: { result: string; recordId: string; offset: number }[] = []
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i]
    // Without an outcome another reader had it, or this one before an answer was lost.
    const result = outcome ? resultOf(outcome) : 'duplicate'
    count[result]++
    const { recordId, offset } = updates[i]!
    if (result === 'refused' && refused.length < NAMED)
      refused.push({ result: outcome!.result, recordId, offset })
  }
  for (const [result, messages] of Object.entries(count) as [MessageResult, number][])
    if (messages > 0) tally('kafka', result, messages)
  if (count.refused > 0)
    log.warn({ topic, partition, messages: count.refused, refused }, 'updates were refused')
  if (count.invalid > 0)
    log.warn(
      { topic, partition, messages: count.invalid, from },
      'messages that are not valid went to the DLQ',
    )
}
