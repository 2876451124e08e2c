/** A publisher in a process of its own, to be killed: all of a database's partitions, without a share in the group. */
import pino from 'pino'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { createLanes } from '../../src/platform/wait.ts'
import { watchPublicationNews } from '../../src/streams/publish/publication-news.ts'
import { type Place, readPublicationHeads } from '../../src/streams/publish/publications-postgres.ts'
import { publishPartition } from '../../src/streams/publish/publish-partition.ts'

const { url, partitions, ...given } = JSON.parse(process.argv[2]!)
const { streams: pool } = openDatabase({
  url,
  maxConnections: 1,
  maxLanes: 1,
  maxJobConnections: 1,
  log: () => {},
})
const news = watchPublicationNews(() => readPublicationHeads(pool, partitions))
const options = {
  ...given,
  pool,
  partitions,
  logger: pino({ level: 'silent' }),
  inLane: createLanes(4),
  onPlace() {},
  onPublished() {},
}
const { signal } = new AbortController()
for (let partition = 0; partition < partitions; partition++)
  for (const kind of ['aggregates', 'late'] as const) void keepPublishing(kind, partition)
console.log('ready')

async function keepPublishing(kind: 'aggregates' | 'late', partition: number): Promise<void> {
  // Fenced by the next process, or not let in yet: tried again as the publisher does.
  const own = {
    ...options,
    news: (place: Place) => news.wait(kind, partition, place, { signal, onNone() {} }),
  }
  for (;;) await publishPartition(own, kind, partition, signal).catch(() => {})
}
