import type { Pool } from 'pg'
import type { Log } from '../../platform/log.ts'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import { findJobIds } from '../read-postgres.ts'
import { jobOfUpload, UPLOADS } from './upload-name.ts'

/** Long after an upload has either made its job or given up. */
const MIN_AGE_MS = 24 * 3_600_000
const SWEEP_EVERY_MS = 3_600_000
/** Files that one run looks at; the next one goes on behind them, and after the last one from the beginning. */
const FILES_PER_RUN = 5_000

/**
 * Removes what uploads left behind, now and then every hour: half-written files, and whole ones whose job was never
 * made, because the process died before, or the database went away and nobody knew.
 */
export function keepSwept(parts: {
  pool: Pool
  objects: ObjectStore
  log: Log
  filesPerRun?: number
}): AsyncDisposable {
  const { pool, objects, log, filesPerRun = FILES_PER_RUN } = parts
  let after: string | undefined
  let running = run()
  const timer = setInterval(() => {
    running = running.then(run)
  }, SWEEP_EVERY_MS)

  async function run(): Promise<void> {
    try {
      after = await sweep({ pool, objects, log }, { after, limit: filesPerRun })
    } catch (err) {
      log.warn({ err }, 'left-over uploads could not be removed; tried again within the hour')
    }
  }

  return {
    [Symbol.asyncDispose]() {
      clearInterval(timer)
      return running
    },
  }
}

/**
 * One run over at most `limit` files behind `after`.
 *
 * @returns where the next one goes on; `undefined` at the end
 */
export async function sweep(
  { pool, objects, log }: { pool: Pool; objects: ObjectStore; log: Log },
  page: { after?: string | undefined; limit: number },
): Promise<string | undefined> {
  const before = new Date(Date.now() - MIN_AGE_MS)
  await objects.removeStaged(before)
  const found = await objects.list(UPLOADS, page)
  const old = found.flatMap(({ name, writtenAt }) => {
    const jobId = jobOfUpload(name)
    return jobId !== undefined && writtenAt < before ? { name, jobId } : []
  })
  const existing = new Set(
    await findJobIds(
      pool,
      old.map(({ jobId }) => jobId),
    ),
  )
  const orphans = old.filter(({ jobId }) => !existing.has(jobId))
  for (const { name } of orphans) await objects.remove(name)
  if (orphans.length > 0)
    log.info({ files: orphans.length }, 'removed uploaded files that never became a job')
  return found.length < page.limit ? undefined : found.at(-1)!.name
}
