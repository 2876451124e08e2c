import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { useSession } from '../api/session.ts'
import type { Job } from '../api/types.ts'
import { useNotices } from '../shell/notices.tsx'
import type { UploadQueue } from './upload-queue.ts'
import { createUploadStore, type UploadStore } from './upload-store.ts'

/** Uploads of this page; a file that has arrived is handed on as its job. */
export function useUploads(onJob: (job: Job) => void): { queue: UploadQueue; store: UploadStore } {
  const { api } = useSession()
  const { announce } = useNotices()
  const client = useQueryClient()
  const store = useMemo(
    () =>
      createUploadStore({
        api,
        async onDone(jobId, filename) {
          announce(`${filename} is uploaded, its import begins.`)
          try {
            onJob(await api.readJob(jobId))
          } catch {
            // It is there; the list finds it as it finds the jobs of others.
          }
          void client.invalidateQueries({ queryKey: ['stats'] })
        },
        onFailed: (filename, reason) => announce(`Upload of ${filename} failed. ${reason}`),
      }),
    [api, announce, client, onJob],
  )
  useEffect(() => () => store.close(), [store])
  const queue = useSyncExternalStore(store.subscribe, store.read)
  useEffect(() => {
    if (queue.every(({ state }) => state === 'failed')) return
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [queue])
  return { queue, store }
}
