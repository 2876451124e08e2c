import { type ResourceLimits, Worker } from 'node:worker_threads'
import type { Declaration } from '../../datasets/declaration.ts'
import { PebblesError } from '../../platform/errors.ts'
import type { ObjectLocation } from '../../platform/objects/objects.ts'
import { FileFault, type FileFaultCode } from '../csv/file-fault.ts'
import type { Checkpoint, Dialect, Encoding } from '../job.ts'
import { type BatchBuffers, buffersOf, type PreparedBatch } from './prepared-batch.ts'

/** What a thread is asked to read. */
export interface ReadRequest {
  location: ObjectLocation
  objectName: string
  job: { id: string; clientKrn: string }
  /** For `compileDataset`. */
  dataset: { declaration: Declaration; table: string }
  /** It is a corrected report. */
  isReport: boolean
  /** As it was found out before, where that was done. */
  encoding: Encoding | undefined
  isCounted: boolean
  checkpoint: Checkpoint
  maxRows: number
}

/** What reading a file brings: its number of rows, unless that was known before, then its batches. */
export type Reading =
  | { kind: 'counted'; total: number; dialect: Dialect }
  | { kind: 'batch'; batch: PreparedBatch }

export type ToReader =
  | { kind: 'read'; request: ReadRequest }
  | { kind: 'taken'; buffers: BatchBuffers }
  | { kind: 'stop' }

export type FromReader =
  | Reading
  | { kind: 'done' }
  | { kind: 'fault'; code: FileFaultCode; message: string }
  /** The place of the files is away; what an error was does not survive the way between threads. */
  | { kind: 'away'; error: unknown }
  | { kind: 'broken'; error: unknown }

export interface Readers extends AsyncDisposable {
  /**
   * Reads a file in a thread, at most a few batches ahead of whoever takes them. A batch is to be done with when the next
   * one is asked for: its buffers are used again.
   *
   * @throws FileFault, PebblesError `unavailable` when the file cannot be reached, what else reading threw, and the
   *   reason of `signal` when that is aborted
   */
  read(request: ReadRequest, signal: AbortSignal): AsyncGenerator<Reading>
}

/** Of a thread; a file of any size needs less. Beyond it the thread ends, and with it the attempt, not the process. */
const LIMITS: ResourceLimits = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 }
/** A thread that was asked to stop and does not is ended. */
const STOP_MS = 2_000

/** Threads that read files, one for each file that is being imported; those that are done wait for the next one. */
export function createReaders(limits = LIMITS): Readers {
  const idle: Worker[] = []
  const all = new Set<Worker>()

  function start(): Worker {
    const worker = new Worker(new URL('./reader-thread.ts', import.meta.url), { resourceLimits: limits })
    all.add(worker)
    worker.on('exit', () => {
      all.delete(worker)
      const at = idle.indexOf(worker)
      if (at !== -1) idle.splice(at, 1)
    })
    // Told where a file is read; without a listener it would end the process.
    worker.on('error', () => {})
    // An idle thread holds nothing that would have to be waited for.
    worker.unref()
    return worker
  }

  async function* read(request: ReadRequest, signal: AbortSignal): AsyncGenerator<Reading> {
    signal.throwIfAborted()
    const worker = idle.pop() ?? start()
    worker.ref()
    const inbox = createInbox(worker)
    const post = (message: ToReader, transfer: ArrayBuffer[] = []) => worker.postMessage(message, transfer)
    const stop = () => {
      post({ kind: 'stop' })
      inbox.fail(signal.reason)
    }
    signal.addEventListener('abort', stop)
    let isDone = false
    try {
      post({ kind: 'read', request })
      for (;;) {
        const message = await inbox.next()
        isDone = message.kind !== 'batch' && message.kind !== 'counted'
        if (message.kind === 'done') return
        if (message.kind === 'fault') throw new FileFault(message.code, message.message)
        if (message.kind === 'away') throw filesAway(message.error)
        if (message.kind === 'broken') throw message.error
        yield message
        if (message.kind === 'batch') {
          const buffers = buffersOf(message.batch)
          post({ kind: 'taken', buffers }, Object.values(buffers))
        }
      }
    } finally {
      signal.removeEventListener('abort', stop)
      if (!isDone) {
        post({ kind: 'stop' })
        isDone = await inbox.settled(STOP_MS)
      }
      inbox.close()
      worker.unref()
      // It may have ended behind its last word.
      if (isDone && all.has(worker)) idle.push(worker)
      else await worker.terminate()
    }
  }

  return {
    read,
    async [Symbol.asyncDispose]() {
      await Promise.all([...all].map((worker) => worker.terminate()))
    },
  }
}

const filesAway = (cause: unknown) =>
  new PebblesError('unavailable', 'The files cannot be reached at the moment.', { cause })

/** The messages of a thread as a queue, which its end, or somebody else, makes fail. */
function createInbox(worker: Worker) {
  const messages: FromReader[] = []
  let failure: { error: unknown } | undefined
  let isSettled = false
  let isGone = false
  let wake = () => {}
  const woken = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })

  const onMessage = (message: FromReader) => {
    isSettled ||= message.kind !== 'batch' && message.kind !== 'counted'
    messages.push(message)
    wake()
  }
  const fail = (error: unknown) => {
    failure ??= { error }
    wake()
  }
  const onExit = (code: number) => {
    isGone = true
    fail(new Error(`the reading thread ended with code ${code}`))
  }
  worker.on('message', onMessage).on('error', fail).on('exit', onExit)

  return {
    fail,
    async next(): Promise<FromReader> {
      while (messages.length === 0 && !failure) await woken()
      if (failure) throw failure.error
      return messages.shift()!
    },
    /** Whether the thread has said its last word for this file, waiting for it a while. */
    async settled(atMostMs: number): Promise<boolean> {
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        wake()
      }, atMostMs)
      while (!isSettled && !isGone && !isLate) await woken()
      clearTimeout(timer)
      return isSettled
    },
    close() {
      worker.off('message', onMessage).off('error', fail).off('exit', onExit)
    },
  }
}
