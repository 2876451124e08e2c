import type { LogRecord } from '../../platform/kafka/records.ts'
import type { Letter } from '../../platform/kafka/sender.ts'
import { showStart } from '../query/query.ts'
import type { ClosingEntry } from '../windows/closings-postgres.ts'
import type { LateEntry, Place, PublicationKind } from './publications-postgres.ts'

/** Whose messages these are: an installation's, of one partition of its log, to one partition of a topic. */
export interface Origin {
  installation: string
  partition: number
  topicPartition: number
}

/** The header that tells a message's place among what is published of its partition. */
const PLACE_HEADER: Record<PublicationKind, string> = { aggregates: 'sequence', late: 'offset' }

/** What closed, or was revised, as messages: one for each postcode. */
export function aggregateLetters(origin: Origin, entry: ClosingEntry): Letter[] {
  const { sequence, clientKrn, startMs, aggregates, revision } = entry
  const window_start = showStart(startMs)
  return aggregates.map(({ key, events }) => {
    const aggregate = { postcode: key, window_start, pageview_count: events }
    const revised = revision && { revision: revision.revision, delta: revision.delta }
    return letter(origin, key, JSON.stringify({ ...aggregate, ...revised }), {
      client: clientKrn,
      sequence,
      ...(revised && { revision: revised.revision }),
    })
  })
}

/** An event that came too late, as it was sent. */
export function lateLetter(
  origin: Origin,
  { clientKrn, offset, key, windowStartMs, payload }: LateEntry,
): Letter {
  return letter(origin, key, payload!, { client: clientKrn, offset, window_start: showStart(windowStartMs) })
}

function letter(
  { installation, partition, topicPartition }: Origin,
  key: string,
  value: string,
  headers: Record<string, string | number>,
): Letter {
  return {
    partition: topicPartition,
    key: Buffer.from(key),
    value: Buffer.from(value),
    headers: Object.entries({ ...headers, partition, installation }).map(([name, text]) => [
      Buffer.from(name),
      Buffer.from(String(text)),
    ]),
  }
}

/** The place that a message tells; undefined when it is not one of this origin. */
export function placeOf(
  kind: PublicationKind,
  { installation, partition }: Pick<Origin, 'installation' | 'partition'>,
  { key, headers }: Pick<LogRecord, 'key' | 'headers'>,
): Place | undefined {
  const told = new Map<string, string>()
  for (const [name, text] of headers) told.set(String(name), String(text))
  const sequence = Number(told.get(PLACE_HEADER[kind]) ?? Number.NaN)
  const isOurs = told.get('installation') === installation && told.get('partition') === String(partition)
  if (!isOurs || !Number.isSafeInteger(sequence)) return undefined
  // Keys of a window come in their order; a revision is about one key, and whole.
  const isPart = kind === 'aggregates' && !told.has('revision')
  return isPart ? { sequence, key: String(key) } : { sequence }
}
