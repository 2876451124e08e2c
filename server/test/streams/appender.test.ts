import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAppender } from '../../src/streams/in/appender.ts'
import type { Appended } from '../../src/streams/log/log.ts'

test('S1 callers that come again when they are answered are written in batches of half of them', async () => {
  const batches: { events: number; done: () => void }[] = []
  let begun = Promise.withResolvers<void>()
  const append = (events: readonly unknown[]) =>
    new Promise<Appended[]>((resolve) => {
      const places = events.map((_, offset) => ({ partition: 0, offset }))
      batches.push({ events: events.length, done: () => resolve(places) })
      begun.resolve()
      begun = Promise.withResolvers()
    })
  const appender = createAppender({ append, maxPending: 100, maxPendingBytes: 1e6 })
  const submit = () => appender.submit([{ clientKrn: 'krn:a', stream: 's', key: 'k', payload: '{}' }])

  let { promise } = begun
  const first = [1, 2, 3].map(submit)
  await promise
  const late = submit()
  batches[0]!.done()
  promise = begun.promise
  // One waits, and three may come again.
  await Promise.all(first)
  const again = submit()
  await promise
  assert.deepEqual(
    batches.map(({ events }) => events),
    [3, 2],
  )
  batches[1]!.done()
  await Promise.all([late, again])

  promise = begun.promise
  const alone = submit()
  await promise
  assert.equal(batches[2]!.events, 1, 'nobody else comes, and the one is written all the same')
  batches[2]!.done()
  await alone
  await appender[Symbol.asyncDispose]()
})
