import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { LEASE_MS, postponeJob, RENEW_MS, releaseJob } from '../../src/jobs/import/claim-postgres.ts'
import type { JobHandler, JobQueue } from '../../src/jobs/queue/queue.ts'
import { watchForHalts } from '../helpers/halts.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { until } from '../helpers/until.ts'
import {
  countOf,
  createFinisher,
  finish,
  openQueueBench,
  type QueueBench,
  type QueueServer,
  retry,
} from './queue-bench.ts'
import { spawnWorker } from './queue-process.ts'

/** What every queue must do, whatever it is made of; each adapter runs this on its real servers. */
export function describeQueue(
  name: string,
  openServer: (scope: Scope) => Promise<QueueServer>,
  { skip = false }: { skip?: string | false } = {},
): void {
  async function open(scope: Scope): Promise<{ bench: QueueBench; server: QueueServer }> {
    const server = await openServer(scope)
    return { bench: await openQueueBench(scope, server), server }
  }

  async function consume(scope: Scope, queue: JobQueue, handle: JobHandler, concurrency = 1) {
    const consumer = await queue.consume({ concurrency, handle })
    let stopped: PromiseLike<void> | undefined
    const stop = async () => {
      stopped ??= consumer[Symbol.asyncDispose]()
      await stopped
    }
    atEnd(scope, stop)
    return { stop }
  }

  const newJobs = async (bench: QueueBench, count: number) => {
    const ids: string[] = []
    for (let n = 0; n < count; n++) ids.push(await bench.newJob())
    return ids
  }

  const allEnded = (bench: QueueBench, count: number) =>
    until(`${count} jobs have ended`, async () => (await countOf(bench.pool, 'completed')) === count)

  describe(`the queue: ${name}`, { concurrency: 3, skip }, () => {
    test('F7 first in, first out, also for what was there before the worker', async (t) => {
      const { bench } = await open(t)
      const { handle, ids } = createFinisher(bench.pool)
      const expected = await newJobs(bench, 10)
      await consume(t, bench.queue, handle)
      expected.push(...(await newJobs(bench, 10)))
      await allEnded(bench, 20)
      assert.deepEqual(ids(), expected)
    })

    /** Uploads at the same time, and looks at the jobs while they are on their way. */
    test('F7 first in, first out, also with many coming at once', async (t) => {
      const { bench } = await open(t)
      const { handle, ids } = createFinisher(bench.pool, { takesMs: 20 })
      await consume(t, bench.queue, handle)
      const first = await newJobs(bench, 1)
      await until('the worker is busy', () => ids().length === 1)
      const groups = [first]
      for (let n = 0; n < 8; n++) groups.push(await Promise.all(Array.from({ length: 10 }, bench.newJob)))
      await allEnded(bench, 81)
      const groupOf = (id: string) => groups.findIndex((group) => group.includes(id))
      assert.deepEqual(
        ids().map(groupOf),
        ids()
          .map(groupOf)
          .sort((a, b) => a - b),
      )
    })

    test('F7 as many at a time as asked for, and no more; each is brought once', async (t) => {
      const { bench } = await open(t)
      const { handle, handled, most } = createFinisher(bench.pool, { takesMs: 100 })
      await newJobs(bench, 12)
      await consume(t, bench.queue, handle, 3)
      await allEnded(bench, 12)
      assert.deepEqual([handled.length, most.running], [12, 3])
      assert.ok(handled.every(({ attempt }) => attempt === 1))
    })

    test('F7 a worker that is free takes a new job while the others are busy', async (t) => {
      const { bench } = await open(t)
      const busy = new AbortController()
      const begun: string[] = []
      await consume(
        t,
        bench.queue,
        async (job) => {
          begun.push(job.id)
          if (!busy.signal.aborted) await once(busy.signal, 'abort')
          await finish(bench.pool, job)
        },
        3,
      )
      const expected: string[] = []
      for (let n = 1; n <= 3; n++) {
        expected.push(await bench.newJob())
        await until('the next one has begun', () => begun.length === n)
        // Time enough for the others to look for more, and to find nothing.
        await delay(300)
      }
      assert.deepEqual(begun, expected)
      busy.abort()
      await allEnded(bench, 3)
    })

    test('F7 several processes share the work, and each job is begun once', async (t) => {
      const { bench, server } = await open(t)
      const workers = await Promise.all([1, 2, 3].map(() => spawnWorker(t, bench, server)))
      const expected = await newJobs(bench, 40)
      await allEnded(bench, 40)
      const lines = workers.flatMap((worker) => worker.lines)
      assert.deepEqual(lines.sort(), expected.map((id) => `${id} 1`).sort())
      assert.ok(workers.filter((worker) => worker.lines.length > 0).length > 1, 'one of them did it all')
    })

    test('F7 two hundred at once all end', async (t) => {
      const { bench } = await open(t)
      const finisher = createFinisher(bench.pool)
      await consume(t, bench.queue, finisher.handle, 2)
      await consume(t, await bench.openQueue(), finisher.handle, 2)
      await Promise.all(Array.from({ length: 200 }, () => bench.newJob()))
      await allEnded(bench, 200)
      assert.equal(new Set(finisher.ids()).size, 200)
      assert.equal(finisher.handled.length, 200)
    })

    test('F7 a job whose transaction rolls back is never brought', async (t) => {
      const { bench } = await open(t)
      const { handle, ids } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      await assert.rejects(bench.newJobIn(() => Promise.reject(new TypeError('no'))))
      const id = await bench.newJob()
      await allEnded(bench, 1)
      // Longer than any look at the jobs takes.
      await delay(1_500)
      assert.deepEqual(ids(), [id])
    })

    /**
     * Everything that looks by itself does so once a second, so of 20 jobs three would be found within 150 ms by
     * chance. A slow machine may delay many, but not three quarters of them.
     */
    test('F7 an idle worker gets a new job without waiting for its next look', async (t) => {
      const { bench } = await open(t)
      const { handle, ids } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      const waitedMs: number[] = []
      for (let n = 1; n <= 20; n++) {
        await bench.newJob()
        const madeAt = Date.now()
        await until('the job was brought', () => ids().length === n)
        waitedMs.push(Date.now() - madeAt)
        await allEnded(bench, n)
      }
      const prompt = waitedMs.filter((ms) => ms < 150)
      assert.ok(prompt.length >= 5, `they waited ${waitedMs.join(', ')} ms`)
    })

    test('F7 a worker goes on at once while more is waiting', async (t) => {
      const { bench } = await open(t)
      const begunAt: number[] = []
      await newJobs(bench, 20)
      await consume(t, bench.queue, async (job) => {
        begunAt.push(Date.now())
        await finish(bench.pool, job)
      })
      await allEnded(bench, 20)
      const pausesMs = begunAt.slice(1).map((at, index) => at - begunAt[index]!)
      assert.ok(pausesMs.filter((ms) => ms < 150).length >= 5, `it paused ${pausesMs.join(', ')} ms`)
    })

    test('F7 N2 a worker that is killed is replaced within ten seconds', async (t) => {
      const { bench, server } = await open(t)
      const worker = await spawnWorker(t, bench, server, { HOLD: 'true' })
      using halts = watchForHalts()
      const id = await bench.newJob()
      await until('the worker has begun', () => worker.lines.length === 1)
      const { handle, handled } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      // Longer than the lease: while the worker lives, nobody else gets its job.
      await delay(LEASE_MS + 1_000)
      if (halts.longestMs() < LEASE_MS - RENEW_MS) assert.deepEqual(handled, [])
      await worker.end('SIGKILL')
      await until('another one has taken over', () => handled.length === 1)
      assert.deepEqual([worker.lines, handled], [[`${id} 1`], [{ id, attempt: 2 }]])
    })

    /** The worst instant to die: the queue has given the job away, and the job's row does not know yet. */
    test('F7 N2 a worker that is killed before it could claim its job is replaced as well', async (t) => {
      const { bench, server } = await open(t)
      const worker = await spawnWorker(t, bench, server)
      const lock = await bench.pool.connect()
      try {
        await lock.query('BEGIN; LOCK TABLE jobs IN EXCLUSIVE MODE')
        // Made here and not by `newJob`, whose connection would wait for the lock.
        const id = randomUUID()
        await lock.query(
          `INSERT INTO jobs (id, client_krn, email, filename, ledger_filename, ledger_number, dataset, object_name,
                             size_bytes, sha256, status)
           VALUES ($1, '', '', '', '', 1, '', '', 1, '', 'pending')`,
          [id],
        )
        await bench.queue.enqueue(lock, id)
        await lock.query('COMMIT; BEGIN; LOCK TABLE jobs IN EXCLUSIVE MODE')
        bench.queue.wake(id)
        const claims = `SELECT pid FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'UPDATE jobs%attempt + 1%'`
        await until('the worker claims', async () => (await bench.pool.query(claims)).rows.length > 0)
        await worker.end('SIGKILL')
        // The claim itself must not take effect: its connection is gone.
        await bench.pool.query(`SELECT pg_terminate_backend(pid) FROM (${claims}) AS claims`)
      } finally {
        await lock.query('COMMIT')
        lock.release()
      }
      const { handle, handled } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      await until('another one has taken over', () => handled.length === 1)
      assert.equal(handled[0]!.attempt, 1)
    })

    /** The next look of the one that takes over is 700 ms away each time, the end of the lease six seconds. */
    test('F7 a worker that stops gives its job back, and another goes on at once', async (t) => {
      const { bench } = await open(t)
      const begun: { attempt: number; at: number }[] = []
      const hold: JobHandler = async (job, signal) => {
        begun.push({ attempt: job.attempt, at: Date.now() })
        if (!signal.aborted) await once(signal, 'abort')
        await releaseJob(bench.pool, job)
      }
      let holder = await consume(t, bench.queue, hold)
      await bench.newJob()
      await until('it was begun', () => begun.length === 1)
      const pausesMs: number[] = []
      for (let n = 2; n <= 5; n++) {
        const next = await consume(t, await bench.openQueue(), hold)
        await delay(300)
        const stoppedAt = Date.now()
        await holder.stop()
        await until('another one goes on', () => begun.length === n)
        pausesMs.push(begun.at(-1)!.at - stoppedAt)
        holder = next
      }
      assert.deepEqual(
        begun.map(({ attempt }) => attempt),
        [1, 2, 3, 4, 5],
      )
      // Were it left to that look, all of them would be longer.
      assert.ok(Math.min(...pausesMs) < 600, `it paused ${pausesMs.join(', ')} ms`)
    })

    test('F7 an entry that comes again while its job is worked on changes nothing', async (t) => {
      const { bench, server } = await open(t)
      const { handle, handled } = createFinisher(bench.pool, { takesMs: 1_500 })
      await consume(t, bench.queue, handle, 2)
      using halts = watchForHalts()
      const id = await bench.newJob()
      await until('it was begun', () => handled.length === 1)
      for (const attempt of [0, 1]) await server.redeliver(bench, { jobId: id, attempt, setbacks: 0 })
      await allEnded(bench, 1)
      for (const attempt of [0, 1]) await server.redeliver(bench, { jobId: id, attempt, setbacks: 0 })
      await until('all entries are used up', async () => (await server.count(bench)) === 0)
      if (halts.longestMs() < LEASE_MS - 2_000) assert.deepEqual(handled, [{ id, attempt: 1 }])
    })

    test('F7 F12 an entry of a job that was cancelled or deleted does nothing', async (t) => {
      const { bench, server } = await open(t)
      const [cancelled, deleted, kept] = await newJobs(bench, 3)
      await bench.pool.query(`UPDATE jobs SET status = 'cancelled' WHERE id = $1`, [cancelled])
      await bench.pool.query('DELETE FROM jobs WHERE id = $1', [deleted])
      const { handle, ids } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      await allEnded(bench, 1)
      await until('all entries are used up', async () => (await server.count(bench)) === 0)
      assert.deepEqual(ids(), [kept])
    })

    test('F7 F12 a job that ended and is wanted again is brought again', async (t) => {
      const { bench } = await open(t)
      const { handle, handled } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      const id = await bench.newJob()
      await allEnded(bench, 1)
      await retry(bench, id)
      bench.queue.wake(id)
      await until('it was begun again', () => handled.length === 2)
      assert.deepEqual(handled.at(-1), { id, attempt: 2 })
    })

    test('F7 a job that is given back for a while comes after that, and holds up nothing', async (t) => {
      const { bench } = await open(t)
      const begunAt: number[] = []
      const { handle, ids } = createFinisher(bench.pool)
      const first = await bench.newJob()
      await consume(t, bench.queue, async (job, signal) => {
        if (job.id !== first) return handle(job, signal)
        begunAt.push(Date.now())
        if (begunAt.length < 3) await postponeJob(bench.pool, job, { delayMs: 1_500, isFailure: true })
        else await finish(bench.pool, job)
      })
      const second = await bench.newJob()
      await allEnded(bench, 2)
      assert.deepEqual(ids(), [second])
      assert.equal(begunAt.length, 3)
      // The clock that decides is the database's; its answers may come a little early here.
      for (const n of [1, 2]) assert.ok(begunAt[n]! - begunAt[n - 1]! > 1_400, 'it came before its time')
    })

    test('F7 a job that comes again goes before those that came after it', async (t) => {
      const { bench } = await open(t)
      const [first, second, third] = await newJobs(bench, 3)
      const begun: string[] = []
      await consume(t, bench.queue, async (job) => {
        begun.push(job.id)
        if (job.id === first && job.attempt === 1) {
          await postponeJob(bench.pool, job, { delayMs: 500, isFailure: true })
        } else {
          if (job.id === second) await delay(3_000)
          await finish(bench.pool, job)
        }
      })
      await allEnded(bench, 3)
      assert.deepEqual(begun, [first, second, first, third])
    })

    test('F7 jobs that were begun again and again in vain come after the others', async (t) => {
      const { bench, server } = await open(t)
      const [often, twice, ...fresh] = await newJobs(bench, 4)
      await until('all are there', async () => (await server.count(bench)) === 4)
      await server.forget(bench)
      await bench.pool.query(`UPDATE jobs SET created_at = created_at - interval '1 minute'`)
      await bench.pool.query(
        `UPDATE jobs SET status = 'processing', attempt = 9, lease_until = now(),
                         stalled_attempts = CASE id WHEN $1 THEN 4 ELSE 2 END WHERE id IN ($1, $2)`,
        [often, twice],
      )
      const { handle, ids } = createFinisher(bench.pool, { takesMs: 300 })
      await consume(t, bench.queue, handle)
      await until('the queue is complete again', () => ids().length >= 1)
      const newest = await bench.newJob()
      await allEnded(bench, 5)
      assert.deepEqual(ids(), [twice, ...fresh, newest, often])
    })

    test('F7 a queue that forgets everything loses no job, nor their order', async (t) => {
      const { bench, server } = await open(t)
      const expected = await newJobs(bench, 150)
      // What is still on its way is not forgotten, and would be the first then.
      await until('all are there', async () => (await server.count(bench)) === 150)
      await server.forget(bench)
      // Old enough for all of them to be brought back by one look.
      await bench.pool.query(`UPDATE jobs SET created_at = created_at - interval '1 minute'`)
      const { handle, ids } = createFinisher(bench.pool)
      // One more when the lease of the first runs out meanwhile, which the next look notices.
      const complete = until('all are there again', async () => (await server.count(bench)) >= 150)
      await consume(t, bench.queue, async (job, stop) => {
        await complete
        await handle(job, stop)
      })
      await until('some have ended', () => ids().length > 20)
      await server.forget(bench)
      await allEnded(bench, 150)
      assert.equal(ids().length, 150)
      assert.deepEqual(ids(), expected)
    })

    test('F7 workers go on by themselves when the server of the queue was away', async (t) => {
      const { bench, server } = await open(t)
      const { handle, ids } = createFinisher(bench.pool, { takesMs: 50 })
      await consume(t, bench.queue, handle, 2)
      await newJobs(bench, 40)
      await until('some have ended', () => ids().length > 4)
      await server.restart(bench, 2_000)
      await bench.newJob()
      await allEnded(bench, 41)
      assert.equal(new Set(ids()).size, 41)
    })

    test('F7 stopping does not wait for a server that is away', async (t) => {
      const { bench, server } = await open(t)
      const { handle, ids } = createFinisher(bench.pool, { takesMs: 50 })
      const consumer = await consume(t, bench.queue, handle, 2)
      await newJobs(bench, 40)
      await until('some have ended', () => ids().length > 4)
      let isStopped = false
      const back = server.restart(bench, 12_000)
      await delay(500)
      void consumer.stop().then(() => {
        isStopped = true
      })
      await until('it has stopped', () => isStopped)
      await back
    })

    test('F7 what is done does not stay in the queue for ever', async (t) => {
      const { bench, server } = await open(t)
      const { handle } = createFinisher(bench.pool)
      await consume(t, bench.queue, handle)
      await newJobs(bench, 5)
      await allEnded(bench, 5)
      await until('nothing is kept', async () => (await server.count(bench)) === 0)
    })
  })
}
