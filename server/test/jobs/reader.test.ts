import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { ResourceLimits } from 'node:worker_threads'
import { CUSTOMERS_DECLARATION } from '../../src/datasets/customers.ts'
import { FileFault } from '../../src/jobs/csv/file-fault.ts'
import { createReaders, type ReadRequest } from '../../src/jobs/import/reader.ts'
import { openObjectFolder } from '../../src/platform/objects/folder.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { HEADER, validRows } from './helpers.ts'

async function openReaders(scope: Scope, limits?: ResourceLimits) {
  const objects = await openObjectFolder(await createTestDir(scope))
  const readers = createReaders(limits)
  atEnd(scope, () => readers[Symbol.asyncDispose]())
  let files = 0

  /** Reads a file; yields the rows of each batch. */
  async function* read(
    content: string,
    { maxRows = 100, signal = new AbortController().signal }: { maxRows?: number; signal?: AbortSignal } = {},
  ) {
    const objectName = `file-${files++}`
    await (await objects.stage(objectName, Readable.from([Buffer.from(content)]), { maxBytes: 1e9 })).keep()
    const request: ReadRequest = {
      location: objects.location,
      objectName,
      job: { id: '01a20c6d-9970-7414-9172-eae20adee0d6', clientKrn: 'krn:reader' },
      dataset: { declaration: CUSTOMERS_DECLARATION, table: 'customers' },
      isReport: false,
      encoding: undefined,
      isCounted: false,
      checkpoint: { byteOffset: 0, rowNumber: 0 },
      maxRows,
    }
    for await (const message of readers.read(request, signal)) {
      if (message.kind === 'batch') yield message.batch.source.rowNumbers
    }
  }

  async function rowsOf(content: string): Promise<number> {
    let rows = 0
    for await (const batch of read(content)) rows += batch.length
    return rows
  }

  return { read, rowsOf }
}

/** 130,000 rows came out of one piece of the file, each a batch of its own: more than a thread has memory for. */
test('F11 the smallest rows in the smallest batches need no more memory than others', async (t) => {
  const { read } = await openReaders(t)
  let batches = 0
  for await (const rows of read(HEADER + 'a\n'.repeat(300_000), { maxRows: 1 })) {
    assert.equal(rows[0], ++batches + 1)
    if (batches === 3_000) break
  }
  assert.equal(batches, 3_000)
})

test('F11 a thread that runs out of memory ends its file, not the process, and the next file gets another', async (t) => {
  const { read, rowsOf } = await openReaders(t, { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 })
  // Refused rows are objects until their batch is full, and this one never is.
  const tooMany = read(HEADER + 'a\n'.repeat(1_000_000), { maxRows: 10_000_000 })
  await assert.rejects(tooMany.next(), { code: 'ERR_WORKER_OUT_OF_MEMORY' })
  assert.equal(await rowsOf(validRows(1_000)), 1_000)
})

test('F11 a file that is given up at any instant leaves its thread ready for the next one', async (t) => {
  const { read, rowsOf } = await openReaders(t)
  const content = validRows(20_000)
  for (let afterMs = 0; afterMs < 120; afterMs += 12) {
    const giving = new AbortController()
    const timer = setTimeout(() => giving.abort(new Error('given up')), afterMs)
    const reading = (async () => {
      for await (const _ of read(content, { signal: giving.signal })) await new Promise(setImmediate)
    })()
    await reading.catch((error) => assert.equal(error.message, 'given up'))
    clearTimeout(timer)
    assert.equal(await rowsOf(content), 20_000, `given up after ${afterMs} ms`)
  }
})

test('F11 whoever takes batches may stop at any of them, and a fault of a file harms no other', async (t) => {
  const { read, rowsOf } = await openReaders(t)
  const content = validRows(5_000)
  for (const last of [1, 2, 3, 10, 49, 50]) {
    let batches = 0
    for await (const _ of read(content)) if (++batches === last) break
    assert.equal(batches, last)
    await assert.rejects(rowsOf(`${HEADER}"`), FileFault)
    assert.equal(await rowsOf(content), 5_000)
  }
})
