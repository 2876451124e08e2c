import type { Api } from '../api/api.ts'
import { tell } from '../api/problem.ts'
import { randomKey, sendFile } from './send-file.ts'
import { applyUploadEvent, nextToStart, type UploadEvent, type UploadQueue } from './upload-queue.ts'

export interface UploadStore {
  add(files: Iterable<File>, target: { dataset: string; parentId?: string | undefined }): void
  cancel(id: string): void
  retry(id: string): void
  read(): UploadQueue
  subscribe(listener: () => void): () => void
  /** Ends what is under way; nothing is heard of it any more. */
  close(): void
}

export interface UploadStoreOptions {
  api: Api
  /** A file has become a job. */
  onDone: (jobId: string, filename: string) => void
  onFailed: (filename: string, reason: string) => void
}

/** Sends files, a few at a time, and keeps the state of each for the page. */
export function createUploadStore({ api, onDone, onFailed }: UploadStoreOptions): UploadStore {
  const files = new Map<string, { file: File; key: string; abort: AbortController }>()
  const listeners = new Set<() => void>()
  let queue: UploadQueue = []

  function set(next: UploadQueue): void {
    if (next === queue) return
    queue = next
    for (const listener of listeners) listener()
  }

  function apply(event: UploadEvent): void {
    set(applyUploadEvent(queue, event))
    startNext()
  }

  function startNext(): void {
    for (const id of nextToStart(queue)) {
      set(applyUploadEvent(queue, { type: 'start', id, atMs: Date.now() }))
      void send(id)
    }
  }

  async function send(id: string): Promise<void> {
    const kept = files.get(id)!
    const abort = new AbortController()
    files.set(id, { ...kept, abort })
    const { dataset, parentId, filename } = queue.find((item) => item.id === id)!
    try {
      const jobId = await sendFile(api, {
        ...{ file: kept.file, key: kept.key, dataset, parentId, signal: abort.signal },
        onProgress: (sentBytes, totalBytes) => apply({ type: 'progress', id, sentBytes, totalBytes }),
        onSent: () => apply({ type: 'sent', id }),
      })
      files.delete(id)
      apply({ type: 'done', id })
      onDone(jobId, filename)
    } catch (error) {
      if (abort.signal.aborted) return
      const reason = tell(error)
      apply({ type: 'fail', id, reason })
      onFailed(filename, [reason.title, ...reason.faults].join(' '))
    }
  }

  return {
    add(added, { dataset, parentId }) {
      const items = Array.from(added, (file) => {
        const id = randomKey()
        files.set(id, { file, key: randomKey(), abort: new AbortController() })
        const { name: filename, size: sizeBytes } = file
        const start = { state: 'waiting', sentBytes: 0, startedAtMs: undefined, reason: undefined } as const
        return { id, filename, sizeBytes, dataset, parentId, ...start }
      })
      set([...queue, ...items])
      startNext()
    },
    cancel(id) {
      files.get(id)?.abort.abort()
      files.delete(id)
      apply({ type: 'cancel', id })
    },
    retry: (id) => apply({ type: 'retry', id }),
    read: () => queue,
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close() {
      for (const { abort } of files.values()) abort.abort()
    },
  }
}
