import { Counter, Gauge, type Registry } from 'prom-client'
import type { PublicationKind } from './publications-postgres.ts'
import type { Publisher } from './publisher.ts'

/** Counts what this process publishes. */
export function tallyPublished(
  registry: Registry,
  topics: Readonly<Record<PublicationKind, string>>,
): (kind: PublicationKind, messages: number) => void {
  const published = new Counter({
    name: 'pebbles_stream_published_total',
    help: 'Messages published: windows by key, and late events.',
    labelNames: ['topic', 'kind'],
    registers: [registry],
  })
  for (const [kind, topic] of Object.entries(topics)) published.inc({ topic, kind }, 0)
  return (kind, messages) => published.inc({ topic: topics[kind], kind }, messages)
}

/** Shows how far behind this process is, asked when somebody looks. */
export function measurePublisher(publisher: Publisher, registry: Registry): void {
  new Gauge({
    name: 'pebbles_stream_unpublished_windows',
    help: 'Windows that closed, or were revised, and are not published, of the partitions that this process publishes.',
    registers: [registry],
    collect() {
      this.set(publisher.behind())
    },
  })
}
