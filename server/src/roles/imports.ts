import type { Config } from '../config.ts'
import { createImportWorker } from '../jobs/import/import-worker.ts'
import { createLeaseHints } from '../jobs/import/lease-hints.ts'
import { createReaders } from '../jobs/import/reader.ts'
import { startDrain } from '../jobs/ledger/drain.ts'
import { jobAnnouncementOf } from '../jobs/live/announcement.ts'
import { keepSwept } from '../jobs/upload/sweep.ts'
import { createWarn, type Log } from '../platform/log.ts'
import { listenForChanges } from '../platform/postgres/notifications.ts'
import { createPostgresStore } from '../progress/postgres/store-postgres.ts'
import { type Base, STOPS_CHANNEL } from './base.ts'

/** The role that imports files: takes jobs from the queue, `IMPORT_CONCURRENCY` at a time, and removes left-over files. */
export async function startImports(config: Config, base: Base, log: Log): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const { database, objects, queue, announce, announceJobs, tally } = base
  const hints = createLeaseHints()
  const warn = createWarn(log)
  opened.use(
    await listenForChanges({
      url: database.url,
      channels: { [STOPS_CHANNEL]: hints.tell },
      onReconnect: hints.tellAll,
      log: warn,
    }),
  )
  const handle = createImportWorker({
    pool: database.jobs,
    objects,
    readers: opened.use(createReaders()),
    batchRows: config.IMPORT_BATCH_ROWS,
    hints,
    log,
    onClaimed: (job) => announceJobs.notify([jobAnnouncementOf(job)]),
    onCommitted: ({ job, recordId, parent }) => {
      const { clientKrn } = job
      const jobs = parent ? [job, { id: parent.jobId, clientKrn }] : [job]
      announceJobs.notify(jobs.map(jobAnnouncementOf))
      announce.notify([recordId, parent?.recordId].filter((id) => id !== undefined))
      if (recordId !== undefined) tally('import', 'applied', 1)
      if (parent) tally('correction', 'applied', 1)
    },
  })
  if (base.mongo) {
    const { store } = base.mongo
    opened.use(
      startDrain({
        pool: database.pool,
        books: createPostgresStore(database),
        applyNumbered: (updates) => store.applyNumbered('import', updates),
        announce: (changed) => announce.notify(changed),
        log: warn,
      }),
    )
  }
  opened.use(keepSwept({ pool: database.pool, objects, log }))
  opened.use(await queue.consume({ concurrency: config.IMPORT_CONCURRENCY, handle }))
  const owned = opened.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
