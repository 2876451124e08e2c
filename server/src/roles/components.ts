import { createWarn, type Log, type Warn } from '../platform/log.ts'
import type { Database } from '../platform/postgres/database.ts'
import { publicMessage } from '../platform/public-message.ts'
import { createSharedReading } from '../platform/telemetry/shared-reading.ts'
import type { ConsumerReports } from '../progress/consumers/consumer.ts'
import type { LogHealth } from '../streams/log/log.ts'
import type { PartHealth } from '../streams/shares/part-health.ts'
import type { Base } from './base.ts'

const TIMEOUT_MS = 2_000

/** Something that a process needs, or that it does. */
export interface Component {
  name: string
  group?: 'consumers' | 'streams'
  /** Never throws. Undefined: it is not there, as a Redis that is not used. */
  look(): Promise<Finding | undefined>
}

export interface Finding {
  isUp: boolean
  /**
   * The process cannot do its work: it is sent nothing, or is started again. The database, where the records are, and a
   * consumer that is dead, for only a restart helps it. What is away for all instances decides nothing: requests are
   * answered all the same, and a 503 would keep them away from every instance at once.
   */
  isBlocking: boolean
  /** For anybody who asks. */
  told?: { status: string; waitingSince?: string; lastError?: { at: string; message: string } }
}

/** What one process is made of, each with the way to find out how it is. */
export function componentsOf(
  { database, mongo, queue, objectsAnswer, eventLog }: Base,
  consumers: ConsumerReports,
  parts: Readonly<Record<string, { health(): PartHealth }>>,
  log: Log,
): Component[] {
  const ends = createSharedReading(() => eventLog.ends())
  const warn = createWarn(log)
  return [
    { name: 'database', look: async () => needed(await answers(database, warn)) },
    { name: 'mongo', look: async () => mongo && needed(await mongo.answers(TIMEOUT_MS)) },
    { name: 'redis', look: async () => wanted(await queue.redisAnswers()) },
    { name: 'objects', look: async () => wanted(await objectsAnswer()) },
    { name: 'eventLog', look: async () => logFinding((await ends()) !== undefined, eventLog.health?.()) },
    ...consumers().map(({ channel }, index) => ({
      name: channel,
      group: 'consumers' as const,
      look: async () => findingOf(consumers()[index]!.health),
    })),
    ...Object.entries(parts).map(([name, part]) => ({
      name,
      group: 'streams' as const,
      look: async () => findingOf(part.health()),
    })),
  ]
}

const needed = (isUp: boolean): Finding => ({ isUp, isBlocking: !isUp })

const wanted = (isUp: boolean | undefined): Finding | undefined =>
  isUp === undefined ? undefined : { isUp, isBlocking: false }

/** A log that is not in the database knows since when it does not work, and why. */
export function logFinding(answers: boolean, health: LogHealth | undefined): Finding {
  if (health === undefined) return { isUp: answers, isBlocking: false }
  const { awaySinceMs, lastError } = health
  const isUp = answers && awaySinceMs === undefined
  const since = awaySinceMs === undefined ? undefined : new Date(awaySinceMs)
  return findingOf({ status: isUp ? 'running' : 'waiting', since, lastError })
}

/** How a consumer, or a part of the role `streams`, is. */
export function findingOf({
  status,
  since,
  lastError,
}: Pick<PartHealth, 'lastError'> & {
  status: PartHealth['status'] | 'dead'
  since?: Date | undefined
}): Finding {
  return {
    isUp: status === 'running',
    isBlocking: status === 'dead',
    told: {
      status,
      ...(since && { waitingSince: since.toISOString() }),
      ...(lastError && {
        lastError: { at: lastError.at.toISOString(), message: publicMessage(lastError.message) },
      }),
    },
  }
}

async function answers({ pool }: Database, warn: Warn): Promise<boolean> {
  try {
    await pool.query({ text: 'SELECT 1', query_timeout: TIMEOUT_MS } as { text: string })
    return true
  } catch (err) {
    warn('not ready: the database does not answer', err as Error)
    return false
  }
}
