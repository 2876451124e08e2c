import type { Config } from '../config.ts'
import { readKafkaConnection } from '../platform/kafka/connection.ts'
import type { Log } from '../platform/log.ts'
import type { Consumer, Tally } from '../progress/consumers/consumer.ts'
import { changedRecords } from '../progress/live/announcement.ts'
import { KEPT_MESSAGE_DAYS } from '../progress/postgres/ids-postgres.ts'
import type { Base } from './base.ts'

export interface Consumers extends AsyncDisposable {
  /** Those that are configured. */
  all: readonly Consumer[]
}

/** The role that takes updates from Kafka and SQS, where they are enabled. */
export async function startConsumers(config: Config, base: Base, log: Log, tally: Tally): Promise<Consumers> {
  await using opened = new AsyncDisposableStack()
  const all: Consumer[] = []
  if (config.KAFKA_ENABLED) all.push(opened.use(await startKafka(config, base, log, tally)))
  if (config.SQS_ENABLED) all.push(await startSqs(config, base, log, tally, opened))
  const owned = opened.move()
  return { all, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function startKafka(config: Config, base: Base, log: Log, tally: Tally): Promise<Consumer> {
  // Loaded only where it is used, as it takes a while.
  const { createKafkaConsumer } = await import('../progress/consumers/from-kafka.ts')
  return createKafkaConsumer({
    connection: await readKafkaConnection(config),
    topic: config.KAFKA_TOPIC_NAME,
    groupId: config.KAFKA_GROUP_ID,
    store: base.store,
    lanes: config.LEDGER_LANES,
    onApplied: (updates, outcomes) => base.announce.notify(changedRecords(updates, outcomes)),
    tally,
    log,
  })
}

async function startSqs(
  config: Config,
  { ledger }: Base,
  log: Log,
  tally: Tally,
  opened: AsyncDisposableStack,
): Promise<Consumer> {
  const { SQS_QUEUE_URL = '', SQS_DLQ_URL, SQS_ENDPOINT, SQS_RECEIVERS, AWS_REGION: region } = config
  // Loaded only where it is used, as it takes a while.
  const [{ openSqsClient }, { createDeadLetters }, { openQueue }, { createSqsConsumer }] = await Promise.all([
    import('../platform/sqs/client.ts'),
    import('../platform/sqs/dead-letter.ts'),
    import('../platform/sqs/queue.ts'),
    import('../progress/consumers/from-sqs.ts'),
  ])
  const endpoint = SQS_ENDPOINT ?? new URL(SQS_QUEUE_URL).origin
  const client = openSqsClient({ region, endpoint, maxRequests: SQS_RECEIVERS + 32 })
  opened.defer(() => client.destroy())
  return opened.use(
    createSqsConsumer({
      queue: openQueue(client, SQS_QUEUE_URL),
      deadLetters: SQS_DLQ_URL === undefined ? undefined : createDeadLetters(openQueue(client, SQS_DLQ_URL)),
      ledger,
      keptDays: KEPT_MESSAGE_DAYS,
      maxReceivers: SQS_RECEIVERS,
      tally,
      log,
    }),
  )
}
