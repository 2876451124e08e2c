import { Consumer } from '@platformatic/kafka'
import { clientOptions, closeClient, type KafkaConnection, untilStopped } from './connection.ts'

export interface GroupMember extends AsyncDisposable {
  /** Tells the group how far partitions were read; it may be lost. */
  commit(offsets: ReadonlyMap<number, number>): Promise<void>
  /** Has the partitions shared out anew, when they have become more. */
  rejoin(): Promise<void>
  /** When the group last answered (milliseconds since 1970). */
  lastHeardAtMs(): number
}

export interface GroupMemberOptions {
  connection: KafkaConnection
  groupId: string
  topic: string
  /** The partitions that are this member's from now on, all of them. */
  onAssigned: (partitions: number[]) => void
  /** It is no member any longer, and does not become one again by itself. */
  onLost: (error: Error) => void
  /** Ends waiting for the group to let it in. */
  stop: AbortSignal
}

/** A member that died is given up after this, the least that brokers allow by default, and its partitions go to others. */
const SESSION_MS = 6_000

/**
 * Joins a consumer group, which shares out a topic's partitions among its members. It only says who reads what:
 * nothing breaks when two believe that a partition is theirs.
 *
 * It has a connection of its own, as an answer that takes long, to a fetch or to a join, holds up all behind it.
 */
export async function joinGroup(options: GroupMemberOptions): Promise<GroupMember> {
  const { connection, groupId, topic, onAssigned, onLost, stop } = options
  await using opened = new AsyncDisposableStack()
  const client = new Consumer({
    ...clientOptions(connection),
    groupId,
    autocommit: false,
    sessionTimeout: SESSION_MS,
    rebalanceTimeout: 2 * SESSION_MS,
    heartbeatInterval: 2_000,
    retries: 3,
    retryDelay: 250,
  })
  let heardAtMs = Date.now()
  const heard = () => {
    heardAtMs = Date.now()
  }
  client.on('error', onLost)
  client.on('consumer:heartbeat:end', heard)
  client.on('consumer:group:join', ({ assignments = [] }) => {
    heard()
    onAssigned(assignments.flatMap((each) => (each.topic === topic ? each.partitions : [])))
  })
  opened.defer(() => closeClient(client))
  client.topics.track(topic)
  await untilStopped(client, stop, () => client.joinGroup({}))
  const owned = opened.move()
  return {
    commit: (offsets) =>
      client.commit({
        offsets: Array.from(offsets, ([partition, offset]) => ({
          topic,
          partition,
          offset: BigInt(offset),
          leaderEpoch: -1,
        })),
      }),
    async rejoin() {
      await client.metadata({ topics: [topic], forceUpdate: true })
      await client.joinGroup({})
    },
    lastHeardAtMs: () => heardAtMs,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
