import type { LogRecord } from './records.ts'
import type { TopicReader } from './topic-reader.ts'

/** How much of the end of a partition is looked at first; then more, until there is nothing before it. */
const FIRST_LOOK = 1_000
const GROWTH = 8

interface Search<T> {
  partition: number
  /** Offset behind the last record to look at. Transactions that are open before it are waited for. */
  to: number
  /** What a record is; undefined passes over it. */
  pick: (record: LogRecord) => T | undefined
}

/**
 * The last record from `from` on that `pick` knows, as readers with read_committed see it.
 *
 * @throws Error when the topic is gone, or its brokers were away for long
 */
export async function findLastFrom<T>(
  reader: TopicReader,
  from: number,
  { partition, to, pick }: Search<T>,
): Promise<T | undefined> {
  let last: T | undefined
  if (from >= to) return last
  reader.seek(partition, from)
  for (let next = from; next < to; ) {
    const taken = await reader.take(partition)
    if (taken === undefined) throw new Error(`The topic ${reader.topic.name} could not be read to its end.`)
    if (taken.kind === 'gone') {
      const first = await reader.offset(partition, 'earliest')
      // Cut off below: the partition ends before what was asked for.
      if (first <= next) break
      next = first
      reader.seek(partition, next)
      continue
    }
    for (const record of taken.records) if (record.offset < to) last = pick(record) ?? last
    next = taken.next
  }
  reader.drop(partition)
  return last
}

/** The same of everything that a partition has, from its end backwards. */
export async function findLast<T>(reader: TopicReader, search: Search<T>): Promise<T | undefined> {
  const first = await reader.offset(search.partition, 'earliest')
  for (let length = FIRST_LOOK, to = search.to; to > first; length *= GROWTH) {
    const from = Math.max(first, to - length)
    const found = await findLastFrom(reader, from, { ...search, to })
    if (found !== undefined) return found
    to = from
  }
}
