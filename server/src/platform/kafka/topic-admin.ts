import { Admin, ConfigResourceTypes } from '@platformatic/kafka'
import { clientOptions, closeClient, type KafkaConnection } from './connection.ts'
import { isKafkaError } from './topic.ts'

export interface NewTopic {
  name: string
  partitions: number
  /** As in Kafka: `retention.ms` and others. */
  settings: Readonly<Record<string, string>>
}

/**
 * Makes a topic with the replicas that are the brokers' default, unless it is there.
 *
 * @throws Error that says which right is missing
 */
export function makeTopic(
  connection: KafkaConnection,
  { name, partitions, settings }: NewTopic,
): Promise<void> {
  return withAdmin(connection, async (admin) => {
    const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
    try {
      await admin.createTopics({ topics: [name], partitions, replicas: -1, configs })
    } catch (error) {
      if (isKafkaError(error, 'TOPIC_ALREADY_EXISTS')) return
      if (RIGHTS.some((id) => isKafkaError(error, id)))
        throw new Error(
          `The topic ${name} does not exist, and this user may not create it: allow Create on it or on the cluster, or create it, and allow Describe and Write.`,
          { cause: error },
        )
      throw error
    }
  })
}

const RIGHTS = ['TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED']

/** Settings of a topic as they are, by their names. */
export function readTopicSettings(
  connection: KafkaConnection,
  topic: string,
  names: string[],
): Promise<ReadonlyMap<string, string | null>> {
  return withAdmin(connection, async (admin) => {
    const [described] = await admin.describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configurationKeys: names }],
    })
    return new Map((described?.configs ?? []).map(({ name, value }) => [name, value ?? null]))
  })
}

async function withAdmin<T>(connection: KafkaConnection, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ ...clientOptions(connection), retries: 2, retryDelay: 250 })
  admin.on('error', () => {})
  try {
    return await work(admin)
  } finally {
    await closeClient(admin)
  }
}
