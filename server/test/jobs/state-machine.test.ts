import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isEnded,
  JOB_EVENTS,
  JOB_STATUSES,
  type JobEvent,
  type JobStatus,
  statusAfter,
  statusesBefore,
  TRANSITIONS,
} from '../../src/jobs/job.ts'

/** The table once more, from the words of the feature: what is not here is refused. */
const ALLOWED: [JobStatus, JobEvent, JobStatus][] = [
  ['pending', 'claim', 'processing'],
  ['processing', 'claim', 'processing'],
  ['processing', 'advance', 'processing'],
  ['processing', 'release', 'processing'],
  ['processing', 'complete', 'completed'],
  ['processing', 'fail', 'failed'],
  ['pending', 'cancel', 'cancelled'],
  ['processing', 'cancel', 'cancelled'],
  ['failed', 'retry', 'pending'],
  ['cancelled', 'retry', 'pending'],
]

test('F8 the state machine is total: each status answers each event, and only as told', () => {
  for (const status of JOB_STATUSES) {
    for (const event of JOB_EVENTS) {
      const expected = ALLOWED.find(([from, by]) => from === status && by === event)?.[2] ?? null
      assert.equal(TRANSITIONS[status][event], expected, `${status} + ${event}`)
    }
  }
})

test('F8 an event leads to one status only, so that a statement can name it', () => {
  for (const event of JOB_EVENTS) {
    const targets = new Set(statusesBefore(event).map((status) => TRANSITIONS[status][event]))
    assert.deepEqual([...targets], [statusAfter(event)])
  }
})

test('F8 nothing happens to a job that has ended, unless somebody asks for it', () => {
  assert.deepEqual(JOB_STATUSES.filter(isEnded), ['completed', 'failed', 'cancelled'])
})
