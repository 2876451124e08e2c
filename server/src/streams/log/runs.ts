import type { Appended, NewEvent } from './log.ts'

/** A run as it is written. */
export interface NewRun {
  partition: number
  lastOffset: number
  events: number
  clientKrn: string
  stream: string
  /** Its events, one per line. */
  payloads: string
}

/** A run is what a reader takes at once, at least. */
const MAX_RUN_EVENTS = 5_000
const MAX_RUN_BYTES = 1024 * 1024

/**
 * Gives the events of an append their places: within each partition in their order, but those of one stream of one
 * client together, so that many tenants make no more runs than they have to.
 *
 * @param partitions of each event
 * @param ends offset of the next event, per partition
 */
export function cutRuns(
  events: readonly NewEvent[],
  partitions: readonly number[],
  isNew: (index: number) => boolean,
  ends: ReadonlyMap<number, number>,
): { places: Appended[]; runs: NewRun[] } {
  const groups = new Map<string, number[]>()
  for (const [index, { clientKrn, stream }] of events.entries()) {
    if (!isNew(index)) continue
    const name = `${partitions[index]}\0${stream}\0${clientKrn}`
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [index])
    else group.push(index)
  }
  const next = new Map(ends)
  const places = new Array<Appended>(events.length).fill('duplicate')
  const runs: NewRun[] = []

  function add(partition: number, indexes: readonly number[]): void {
    const firstOffset = next.get(partition)!
    for (const [i, index] of indexes.entries()) places[index] = { partition, offset: firstOffset + i }
    next.set(partition, firstOffset + indexes.length)
    const { clientKrn, stream } = events[indexes[0]!]!
    const payloads = indexes.map((index) => events[index]!.payload).join('\n')
    const lastOffset = firstOffset + indexes.length - 1
    runs.push({ partition, lastOffset, events: indexes.length, clientKrn, stream, payloads })
  }

  for (const group of groups.values()) {
    const partition = partitions[group[0]!]!
    let from = 0
    let bytes = 0
    for (const [i, index] of group.entries()) {
      const size = events[index]!.payload.length
      if (i > from && (i - from === MAX_RUN_EVENTS || bytes + size > MAX_RUN_BYTES)) {
        add(partition, group.slice(from, i))
        from = i
        bytes = 0
      }
      bytes += size
    }
    add(partition, group.slice(from))
  }
  return { places, runs }
}
