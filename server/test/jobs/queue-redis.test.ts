import { setTimeout as delay } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { entryKey } from '../../src/jobs/queue/line.ts'
import { startRedis } from '../helpers/redis.ts'
import type { Scope } from '../helpers/scope.ts'
import { redisMissing } from '../helpers/services.ts'
import type { QueueBench, QueueServer } from './queue-bench.ts'
import { describeQueue } from './queue-contract.ts'

const skip = redisMissing()

async function openServer(scope: Scope): Promise<QueueServer> {
  const redis = await startRedis(scope)

  async function withQueue<T>({ pool }: QueueBench, work: (queue: Queue) => Promise<T>): Promise<T> {
    const { rows } = await pool.query('SELECT id FROM installation')
    const client = new Redis(redis.url)
    const queue = new Queue('imports', { connection: client, prefix: `pebbles:${rows[0].id}` })
    try {
      return await work(queue)
    } finally {
      await queue.close()
      client.disconnect()
    }
  }

  return {
    redisUrl: redis.url,
    async forget() {
      await redis.send('FLUSHALL')
    },
    async restart(_bench, awayMs) {
      await redis.kill()
      await delay(awayMs)
      await redis.restart()
    },
    redeliver: (bench, entry) =>
      withQueue(bench, async (queue) => {
        await queue.add('import', { ...entry }, { jobId: entryKey(entry), removeOnComplete: true })
      }),
    count: (bench) =>
      withQueue(bench, async (queue) => {
        const counts = await queue.getJobCounts()
        return Object.values(counts).reduce((sum, count) => sum + count, 0)
      }),
  }
}

describeQueue('BullMQ on Redis', openServer, { skip })
