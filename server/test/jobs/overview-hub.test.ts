import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job } from '../../src/jobs/job.ts'
import { clientTagOf, jobAnnouncementOf } from '../../src/jobs/live/announcement.ts'
import { createJobOverviewHub, LIVE_INTERVAL_MS } from '../../src/jobs/live/live-overview.ts'
import type { EventStream } from '../../src/platform/http/sse.ts'

const CLIENT = 'krn:hub'
const delivery = () => sleep(3 * LIVE_INTERVAL_MS)

describe('the hub of live views of all jobs', { concurrency: true }, () => {
  test('W3 what is announced of clients nobody watches is not read', async (t) => {
    const { hub, put, fetched } = openHub(t)
    const { stream, sent } = openStream()
    await hub.watch(CLIENT, stream)
    const job = put('a', 1)
    hub.changed([jobAnnouncementOf({ id: 'x', clientKrn: 'krn:other' }), jobAnnouncementOf(job)])
    await delivery()
    assert.deepEqual(fetched, ['a'])
    assert.deepEqual(sent.filter(({ event }) => event === 'job').length, 1)
  })

  test('W3 when the last viewer has left, nothing is read any more', async (t) => {
    const { hub, put, reads } = openHub(t)
    const { stream } = openStream()
    await hub.watch(CLIENT, stream)
    stream.close()
    assert.equal(hub.size, 0)
    const before = reads()
    hub.changed([jobAnnouncementOf(put('a', 1))])
    hub.resend()
    await delivery()
    assert.equal(reads(), before)
  })

  test('W3 a state that was read earlier and comes later is not sent', async (t) => {
    const { hub, put, jobs } = openHub(t)
    const { stream, sent } = openStream()
    put('a', 5)
    await hub.watch(CLIENT, stream)
    put('a', 4)
    hub.changed([jobAnnouncementOf(jobs.get('a')!)])
    await delivery()
    assert.deepEqual(
      sent.map(({ event }) => event),
      ['snapshot', 'stats'],
    )
  })

  /** A second viewer's snapshot was taken for news that everybody had, and the first viewer never heard of it. */
  test('W3 what a newcomer finds in its snapshot is told to those who were there', async (t) => {
    const { hub, put } = openHub(t)
    const first = openStream()
    await hub.watch(CLIENT, first.stream)
    put('a', 1)
    await hub.watch(CLIENT, openStream().stream)
    await delivery()
    assert.deepEqual(
      first.sent.filter(({ event }) => event === 'job').map(({ data }) => (data as Job).id),
      ['a'],
    )
  })

  test('W3 a job that is gone is told once, to its own client alone', async (t) => {
    const { hub, put, jobs } = openHub(t)
    const [mine, theirs] = [openStream(), openStream()]
    const announcement = jobAnnouncementOf(put('a', 1))
    await hub.watch(CLIENT, mine.stream)
    await hub.watch('krn:other', theirs.stream)
    jobs.delete('a')
    for (let n = 0; n < 2; n++) {
      hub.changed([announcement])
      await delivery()
    }
    const deleted = ({ sent }: typeof mine) => sent.filter(({ event }) => event === 'deleted')
    assert.deepEqual(deleted(mine), [{ event: 'deleted', data: { jobId: 'a' } }])
    assert.deepEqual(deleted(theirs), [])
  })

  test('W3 of more changes than may wait a slow viewer is cut off, and the others get a new snapshot', async (t) => {
    const { hub, put } = openHub(t)
    const [slow, quick] = [openStream(), openStream()]
    await hub.watch(CLIENT, slow.stream)
    await hub.watch(CLIENT, quick.stream)
    slow.isSlow = true
    hub.changed(Array.from({ length: 1_001 }, (_, n) => jobAnnouncementOf(put(`${n}`, 1))))
    await delivery()
    assert.deepEqual([slow.isClosed(), quick.isClosed(), hub.size], [true, false, 1])
    assert.deepEqual(
      quick.sent.map(({ event }) => event),
      ['snapshot', 'stats', 'snapshot', 'stats'],
    )
  })

  test('W3 when more has changed than can be told one by one, everybody gets a new snapshot', async (t) => {
    const { hub, fetched } = openHub(t)
    const { stream, sent } = openStream()
    await hub.watch(CLIENT, stream)
    hub.changed(Array.from({ length: 5_001 }, (_, n) => `${n}:${clientTagOf(CLIENT)}`))
    await delivery()
    assert.deepEqual(fetched, [])
    assert.equal(sent.filter(({ event }) => event === 'snapshot').length, 2)
  })

  test('W3 an announcement that names no client reaches the right one all the same', async (t) => {
    const { hub, put, jobs } = openHub(t)
    const [mine, theirs] = [openStream(), openStream()]
    await hub.watch(CLIENT, mine.stream)
    await hub.watch('krn:other', theirs.stream)
    put('a', 1)
    hub.changed(['a'])
    await delivery()
    jobs.delete('a')
    hub.changed(['a'])
    await delivery()
    const told = ({ sent }: typeof mine) =>
      sent.map(({ event }) => event).filter((event) => event !== 'stats')
    assert.deepEqual(told(mine), ['snapshot', 'job', 'deleted'])
    assert.deepEqual(told(theirs), ['snapshot'])
  })

  test('W3 a viewer who left before it came does not stay', async (t) => {
    const { hub } = openHub(t)
    const { stream } = openStream()
    stream.close()
    await hub.watch(CLIENT, stream)
    assert.equal(hub.size, 0)
  })
})

/** A hub over jobs in memory. */
function openHub(t: TestContext) {
  const jobs = new Map<string, Job>()
  const fetched: string[] = []
  let reads = 0
  const hub = createJobOverviewHub({
    fetchJobs: async (ids) => {
      reads++
      fetched.push(...ids)
      return ids.flatMap((id) => jobs.get(id) ?? [])
    },
    listNewest: async (clientKrn, limit) => {
      reads++
      return [...jobs.values()].filter((job) => job.clientKrn === clientKrn).slice(0, limit)
    },
    readStats: async () => {
      reads++
      return { total: jobs.size, pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 }
    },
    toMessage: (job) => job,
    toCursor: ({ id }) => id,
    log: (message, error) => assert.fail(`${message}: ${error.stack}`),
  })
  t.after(() => hub[Symbol.asyncDispose]())
  const put = (id: string, sequence: number): Job => {
    const job = { id, clientKrn: CLIENT, status: 'processing', sequence } as Job
    jobs.set(id, job)
    return job
  }
  return { hub, put, jobs, fetched, reads: () => reads }
}

/** A stream that keeps what it was given. */
function openStream() {
  const sent: { event: string | undefined; data: unknown }[] = []
  const closers: (() => void)[] = []
  let isClosed = false
  let isOpen = false
  const opened = { sent, isSlow: false, isClosed: () => isClosed, stream: {} as EventStream }
  opened.stream = {
    open: () => {
      isOpen = true
    },
    send: (data, { event } = {}) => void sent.push({ event, data }),
    get isReady() {
      return isOpen && !isClosed && !opened.isSlow
    },
    onDrain: () => {},
    onClose: (listener) => (isClosed ? listener() : void closers.push(listener)),
    close() {
      isClosed = true
      for (const close of closers.splice(0)) close()
    },
  }
  return opened
}
