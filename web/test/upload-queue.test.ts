import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  applyUploadEvent,
  MAX_SENDING,
  nextToStart,
  speedOf,
  UPLOAD_EVENTS,
  UPLOAD_STATES,
  UPLOAD_TRANSITIONS,
  type UploadEvent,
  type UploadEventType,
  type UploadItem,
  type UploadState,
} from '../src/uploads/upload-queue.ts'

const item = (id: string, state: UploadState = 'waiting', more: Partial<UploadItem> = {}): UploadItem => ({
  ...{ id, filename: `${id}.csv`, sizeBytes: 1_000, dataset: 'customers', parentId: undefined, state },
  ...{ sentBytes: 0, startedAtMs: undefined, reason: undefined },
  ...more,
})

function event(type: UploadEventType, id = 'a'): UploadEvent {
  if (type === 'start') return { type, id, atMs: 5 }
  if (type === 'progress') return { type, id, sentBytes: 700, totalBytes: 1_200 }
  if (type === 'fail') return { type, id, reason: { title: 'no', faults: [] } }
  return { type, id }
}

/** The table once more, in words: what is not here is ignored. */
const ALLOWED: [UploadState, UploadEventType, UploadState | 'gone'][] = [
  ['waiting', 'start', 'sending'],
  ['waiting', 'cancel', 'gone'],
  ['sending', 'progress', 'sending'],
  ['sending', 'sent', 'settling'],
  ['sending', 'done', 'gone'],
  ['sending', 'fail', 'failed'],
  ['sending', 'cancel', 'gone'],
  ['settling', 'done', 'gone'],
  ['settling', 'fail', 'failed'],
  ['settling', 'cancel', 'gone'],
  ['failed', 'retry', 'waiting'],
  ['failed', 'cancel', 'gone'],
]

describe('the queue of uploads', () => {
  test('W1 each state answers each event, and only as told', () => {
    for (const state of UPLOAD_STATES) {
      for (const type of UPLOAD_EVENTS) {
        const expected = ALLOWED.find(([from, by]) => from === state && by === type)?.[2] ?? null
        assert.equal(UPLOAD_TRANSITIONS[state][type], expected, `${state} ${type}`)
        const before = [item('a', state)]
        const after = applyUploadEvent(before, event(type))
        if (expected === null) assert.equal(after, before)
        else assert.equal(after[0]?.state ?? 'gone', expected)
      }
    }
  })

  test('W1 whatever happens, no more are sent at a time than may be, and the first comes first', () => {
    const anyEvent = fc.record({ type: fc.constantFrom(...UPLOAD_EVENTS), n: fc.nat(6) })
    fc.assert(
      fc.property(fc.array(anyEvent), (events) => {
        let queue: readonly UploadItem[] = Array.from({ length: 7 }, (_, n) => item(`${n}`))
        for (const { type, n } of events) {
          if (type !== 'start') queue = applyUploadEvent(queue, event(type, `${n}`))
          const starting = nextToStart(queue)
          const waiting = queue.filter(({ state }) => state === 'waiting').map(({ id }) => id)
          assert.deepEqual(starting, waiting.slice(0, starting.length))
          for (const id of starting) queue = applyUploadEvent(queue, event('start', id))
          const sending = queue.filter(({ state }) => state === 'sending' || state === 'settling')
          assert.ok(sending.length <= MAX_SENDING)
          assert.ok(sending.length === MAX_SENDING || waiting.length === starting.length)
        }
      }),
    )
  })

  test('W1 the bytes of the file are counted, not those of the form around it, and never backwards', () => {
    const [moved] = applyUploadEvent([item('a', 'sending')], event('progress'))
    assert.equal(moved!.sentBytes, 500)
    const [back] = applyUploadEvent([moved!], { type: 'progress', id: 'a', sentBytes: 10, totalBytes: 1_200 })
    assert.equal(back!.sentBytes, 500)
    const [whole] = applyUploadEvent([back!], {
      type: 'progress',
      id: 'a',
      sentBytes: 1_200,
      totalBytes: 1_200,
    })
    assert.equal(whole!.sentBytes, 1_000)
  })

  test('W1 a failed file is sent again from its beginning', () => {
    const failed = applyUploadEvent([item('a', 'sending', { sentBytes: 900 })], event('fail'))
    assert.deepEqual(failed[0]!.reason, { title: 'no', faults: [] })
    const [again] = applyUploadEvent(failed, event('retry'))
    assert.deepEqual([again!.sentBytes, again!.reason], [0, undefined])
  })

  test('W1 speed is told when there is something to tell', () => {
    const sending = item('a', 'sending', { startedAtMs: 1_000, sentBytes: 500 })
    assert.equal(speedOf(sending, 1_500), undefined)
    assert.equal(speedOf(sending, 3_000), 250)
    assert.equal(speedOf(item('a'), 9_000), undefined)
  })
})
