import type { LogRecord, Stretch } from '../../platform/kafka/records.ts'
import type { Occurrence } from './event-index-postgres.ts'
import { type NewEvent, partitionOf, type Run } from './log.ts'
import { readForeign } from './log-kafka-foreign.ts'
import type { RecordSeals, Sealed } from './log-kafka-records.ts'

/** What a stretch of a partition holds. */
export interface ReadRecords {
  /** In the order of offsets. Those of `ids` may be duplicates. */
  events: LoggedEvent[]
  ids: Occurrence[]
  /** Page views of others that lie in another partition than their key belongs to. */
  misplaced: { offset: number; event: NewEvent }[]
  /** Records that are no events. */
  refused: { offset: number; reason: string }[]
}

interface LoggedEvent {
  offset: number
  appendedMs: number
  clientKrn: string
  stream: string
  payload: string
}

/** Reads the records of a stretch, pure. */
export function readRecords(
  { records }: Pick<Stretch, 'records'>,
  partition: number,
  partitions: number,
  seals: Pick<RecordSeals, 'read'>,
): ReadRecords {
  const read: ReadRecords = { events: [], ids: [], misplaced: [], refused: [] }
  for (const record of records) {
    const sealed = seals.read(record, partition)
    if (sealed === undefined) readOther(read, record, partition, partitions)
    else add(read, record, sealed, record.bytes.toString('utf8', record.valueFrom, record.valueTo))
  }
  return read
}

function add(read: ReadRecords, record: LogRecord, { clientKrn, stream, id }: Sealed, payload: string): void {
  const { offset, timestampMs: appendedMs } = record
  read.events.push({ offset, appendedMs, clientKrn, stream, payload })
  if (id !== undefined) read.ids.push({ id, offset, appendedMs })
}

function readOther(read: ReadRecords, record: LogRecord, partition: number, partitions: number): void {
  const { offset } = record
  const found = readForeign(record)
  if ('reason' in found) read.refused.push({ offset, reason: found.reason })
  else if (partitionOf(found.clientKrn, found.stream, found.key, partitions) !== partition)
    read.misplaced.push({ offset, event: found })
  else add(read, record, { ...found, id: found.id }, found.payload)
}

/** Events that follow each other without a gap, of one stream of one client and one batch, are a run. */
export function toRuns(events: readonly LoggedEvent[], duplicates: ReadonlySet<number>): Run[] {
  const runs: Run[] = []
  let payloads: string[] = []
  let next = -1
  let before: LoggedEvent | undefined
  for (const event of events) {
    const { offset, appendedMs, clientKrn, stream, payload } = event
    if (duplicates.size > 0 && duplicates.has(offset)) continue
    const goesOn =
      offset === next &&
      before!.appendedMs === appendedMs &&
      before!.stream === stream &&
      before!.clientKrn === clientKrn
    if (!goesOn) {
      payloads = []
      runs.push({ firstOffset: offset, clientKrn, stream, appendedMs, payloads })
    }
    payloads.push(payload)
    before = event
    next = offset + 1
  }
  return runs
}
