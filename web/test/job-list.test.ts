import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Job, JobList } from '../src/api/types.ts'
import {
  appendPage,
  applyDeleted,
  applyJob,
  applySnapshot,
  endedSince,
  mergeRead,
} from '../src/jobs/job-list.ts'

const NONE = new Set<string>()

/** Job `n` of a client: the higher, the newer. */
function job(n: number, sequence = 1, more: Partial<Job> = {}): Job {
  const createdAt = new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString()
  const file = { filename: `${n}.csv`, dataset: 'customers', parentId: null, sizeBytes: 1 }
  const rows = { totalRows: 1, processedRows: 0, successCount: 0, failedCount: 0 }
  const counts = { ...rows, duplicateCount: 0, correctedCount: 0 }
  const state = { status: 'processing', error: null, completedAt: null } as const
  return { id: `job-${n}`, createdAt, sequence, ...file, ...counts, ...state, ...more }
}

const list = (jobs: Job[], next: string | null = null): JobList => ({ jobs, next })
const ids = ({ jobs }: JobList) => jobs.map(({ id }) => Number(id.slice(4)))

describe('what the page knows of the jobs', () => {
  test('W3 of two states of a job the newer one stays, in whichever order they come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ n: fc.nat(5), sequence: fc.integer({ min: 1, max: 9 }) })),
        (events) => {
          let known = list([])
          for (const { n, sequence } of events) known = applyJob(known, job(n, sequence), NONE)
          const newest = new Map<number, number>()
          for (const { n, sequence } of events) newest.set(n, Math.max(sequence, newest.get(n) ?? 0))
          assert.deepEqual(
            ids(known),
            [...newest.keys()].sort((a, b) => b - a),
          )
          for (const { id, sequence } of known.jobs) assert.equal(sequence, newest.get(Number(id.slice(4))))
        },
      ),
    )
  })

  test('W3 what changes nothing gives back the same list', () => {
    const known = list([job(2, 5), job(1)])
    assert.equal(applyJob(known, job(2, 5), NONE), known)
    assert.equal(applyJob(known, job(2, 4), NONE), known)
    assert.equal(applyDeleted(known, 'job-9'), known)
  })

  test('W3 a new job takes its place; one behind the loaded pages waits for its page', () => {
    assert.deepEqual(ids(applyJob(list([job(5), job(3)], 'cursor'), job(4), NONE)), [5, 4, 3])
    assert.deepEqual(ids(applyJob(list([job(5), job(3)], 'cursor'), job(2), NONE)), [5, 3])
    assert.deepEqual(ids(applyJob(list([job(5), job(3)]), job(2), NONE)), [5, 3, 2])
  })

  test('W3 a deleted job does not come back, whoever still speaks of it', () => {
    const deleted = new Set(['job-2'])
    const known = applyDeleted(list([job(3), job(2), job(1)]), 'job-2')
    assert.deepEqual(ids(known), [3, 1])
    assert.deepEqual(ids(applyJob(known, job(2, 9), deleted)), [3, 1])
    assert.deepEqual(ids(applySnapshot(known, list([job(3), job(2), job(1)]), deleted)), [3, 1])
    assert.deepEqual(ids(mergeRead(list([job(3), job(2), job(1)]), known, known, deleted)), [3, 1])
    assert.deepEqual(ids(appendPage(list([job(3)], 'x'), list([job(2), job(1)]), deleted)), [3, 1])
  })

  test('W3 after a snapshot nothing is left of newest jobs that are not in it; pages behind it stay', () => {
    const known = list([job(9), job(8, 7), job(7), job(2), job(1)], 'behind 1')
    const after = applySnapshot(known, list([job(8, 3), job(7, 4)], 'behind 7'), NONE)
    assert.deepEqual(ids(after), [8, 7, 2, 1])
    assert.equal(after.next, 'behind 1')
    assert.deepEqual(
      after.jobs.slice(0, 2).map(({ sequence }) => sequence),
      [7, 4],
    )
    assert.deepEqual(ids(applySnapshot(known, list([job(8)]), NONE)), [8])
  })

  test('W3 jobs that came while a page was read are kept, those that went are not', () => {
    const before = list([job(3), job(2), job(1)])
    const now = list([job(4), job(3, 5), job(2), job(1)])
    const read = list([job(3, 2), job(1)])
    const merged = mergeRead(read, before, now, NONE)
    assert.deepEqual(ids(merged), [4, 3, 1])
    assert.equal(merged.jobs[1]!.sequence, 5)
  })

  test('W2 pages follow each other without gaps or doubles', () => {
    const first = list([job(5), job(4)], 'behind 4')
    const second = appendPage(first, list([job(4, 2), job(3), job(2)], 'behind 2'), NONE)
    assert.deepEqual([ids(second), second.next], [[5, 4, 3, 2], 'behind 2'])
  })

  test('W7 an end is told once, and only of what was seen under way', () => {
    const before = list([job(3), job(2), job(1, 1, { status: 'failed' })])
    const now = list([
      job(4, 1, { status: 'completed' }),
      job(3, 2, { status: 'completed' }),
      job(2, 2),
      before.jobs[2]!,
    ])
    assert.deepEqual(
      endedSince(before, now).map(({ id }) => id),
      ['job-3'],
    )
    assert.deepEqual(endedSince(now, now), [])
    assert.deepEqual(endedSince(undefined, now), [])
  })
})
