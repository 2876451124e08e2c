/**
 * The thread that reads files: decodes, cuts, checks and writes down rows, so that the thread which answers HTTP does
 * none of it, and PostgreSQL works on one batch while the next one is made here.
 */
import { setImmediate } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { compileDataset } from '../../datasets/compile.ts'
import { type Binding, bindHeader } from '../../datasets/header.ts'
import { PebblesError } from '../../platform/errors.ts'
import { isMissingObject, type ObjectStore } from '../../platform/objects/objects.ts'
import { openObjects } from '../../platform/objects/open.ts'
import { FileFault, missingFile } from '../csv/file-fault.ts'
import { type Head, headerCells, readHead, readUtf8 } from '../csv/head.ts'
import { createRowCutter } from '../csv/rows.ts'
import { scanRows } from '../csv/scan.ts'
import type { Dialect } from '../job.ts'
import { type CorrectedReport, readCorrectedReport } from '../report/corrected-report.ts'
import { createPreparer } from './prepare.ts'
import { type BatchBuffers, buffersOf, type PreparedBatch } from './prepared-batch.ts'
import type { FromReader, ReadRequest, ToReader } from './reader.ts'

const port = parentPort!
const post = (message: FromReader, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

/** How many batches may wait on the other side. */
const AHEAD = 2
let credit = 0
/** Buffers that came back. */
let used: BatchBuffers[] = []
let wake = () => {}
let stopping = new AbortController()
/** Of all files: a process has one place for them, and to open S3 takes connections and a look for credentials. */
let objects: ObjectStore | undefined

port.on('message', (message: ToReader) => {
  if (message.kind === 'read') void run(message.request)
  else if (message.kind === 'taken') {
    credit++
    used.push(message.buffers)
  } else stopping.abort()
  wake()
})

async function run(request: ReadRequest): Promise<void> {
  credit = AHEAD
  used = []
  stopping = new AbortController()
  try {
    await read(request, stopping.signal)
    post({ kind: 'done' })
  } catch (error) {
    const fault = isMissingObject(error) ? missingFile(error) : error
    if (stopping.signal.aborted) post({ kind: 'done' })
    else if (fault instanceof FileFault) post({ kind: 'fault', code: fault.code, message: fault.message })
    else post({ kind: isAway(error) ? 'away' : 'broken', error })
  }
}

async function read(request: ReadRequest, signal: AbortSignal): Promise<void> {
  const { location, objectName, isCounted, checkpoint, job, maxRows } = request
  objects ??= await openObjects(location)
  const { head, binding, report, dialect, rows } = await understand(objects, request, signal)
  if (!isCounted) post({ kind: 'counted', total: rows!, dialect })

  // Nothing was read yet, or all up to the checkpoint.
  const from = checkpoint.byteOffset === 0 ? head.dataStart : checkpoint
  const ready: PreparedBatch[] = []
  const preparer = createPreparer({
    job,
    dialect,
    binding,
    report,
    maxRows,
    from,
    onBatch: (batch) => ready.push(batch),
    takeUsed: () => used.pop(),
  })
  const cutter = createRowCutter(head, from, preparer)
  // A row has at least two bytes: what is fed at a time must not become batches without number.
  const pieceBytes = Math.max(1_024, 16 * maxRows)
  for await (const chunk of readUtf8(objects, objectName, { ...head, start: from.byteOffset, signal })) {
    const bytes = chunk.toString('latin1')
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      cutter.feed(bytes.slice(at, at + pieceBytes))
      while (ready.length > 0) await send(ready.shift()!, signal)
    }
    // Lets a message in that asks to stop.
    await setImmediate()
    signal.throwIfAborted()
  }
  signal.throwIfAborted()
  cutter.end()
  preparer.end()
  while (ready.length > 0) await send(ready.shift()!, signal)
}

const isAway = (error: unknown) => error instanceof PebblesError && error.code === 'unavailable'

/** How the rows of a file are read. */
interface Understood {
  binding: Binding
  report: CorrectedReport | undefined
  dialect: Dialect
}

/** Head, dialect and the columns of the dataset in it; counts the rows where that was not done before. */
async function understand(
  objects: ObjectStore,
  request: ReadRequest,
  signal: AbortSignal,
): Promise<Understood & { head: Head; rows?: number }> {
  const { objectName, isCounted, encoding } = request
  let head = await readHead(objects, objectName, encoding)
  if (isCounted) return { head, ...bind(head, request) }
  // Faults of the header are told before all of a large file was read, unless reading it decides what the header says.
  const early = canBind(head) ? bind(head, request) : undefined
  const source = readUtf8(objects, objectName, { ...head, start: head.dataStart.byteOffset, signal })
  const { rows, isWindows1252 } = await scanRows(source, head)
  signal.throwIfAborted()
  if (!isWindows1252 || head.isEncodingTold) return { head, rows, ...(early ?? bind(head, request)) }
  head = await readHead(objects, objectName, 'windows-1252')
  return { head, rows, ...bind(head, request) }
}

function canBind(head: Head): boolean {
  try {
    headerCells(head)
    return true
  } catch (error) {
    if (error instanceof FileFault && error.code === 'not_text' && !head.isEncodingTold) return false
    throw error
  }
}

function bind(head: Head, { dataset, isReport }: ReadRequest): Understood {
  const header = headerCells(head)
  const report = isReport ? readCorrectedReport(header) : undefined
  const binding = bindHeader(compileDataset(dataset.declaration, dataset.table), report?.header ?? header)
  if ('code' in binding) throw new FileFault(binding.code, binding.message)
  const { encoding, delimiter, quote } = head
  return { binding, report, dialect: { encoding, delimiter, quote, header } }
}

async function send(batch: PreparedBatch, signal: AbortSignal): Promise<void> {
  while (credit === 0) {
    signal.throwIfAborted()
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  credit--
  post({ kind: 'batch', batch }, Object.values(buffersOf(batch)))
}
