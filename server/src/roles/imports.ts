import type { Config } from '../config.ts'
import { jobAnnouncementOf } from '../jobs/announcement.ts'
import { createImportWorker } from '../jobs/import-worker.ts'
import { keepSwept } from '../jobs/sweep.ts'
import type { Log } from '../platform/log.ts'
import type { Base } from './base.ts'

/** The role that imports files: takes jobs from the queue, `IMPORT_CONCURRENCY` at a time, and removes left-over files. */
export async function startImports(config: Config, base: Base, log: Log): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const { database, objects, queue, announce, announceJobs } = base
  const handle = createImportWorker({
    pool: database.jobs,
    objects,
    batchRows: config.IMPORT_BATCH_ROWS,
    log,
    onClaimed: (job) => announceJobs.notify([jobAnnouncementOf(job)]),
    onCommitted: ({ job, recordId }) => {
      announceJobs.notify([jobAnnouncementOf(job)])
      announce.notify([recordId])
    },
  })
  opened.use(keepSwept({ pool: database.pool, objects, log }))
  opened.use(await queue.consume({ concurrency: config.IMPORT_CONCURRENCY, handle }))
  const owned = opened.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
