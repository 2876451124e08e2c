import {
  type Connection,
  type FollowOptions,
  type JobProgress,
  watchJob,
  watchProgress,
} from '@pebbles/client'
import { Command } from 'commander'
import { addConnectionOptions, asCommandError, type ConnectionOptions, openConnection } from './connection.ts'
import { createLiveLines, type LiveLines } from './live-lines.ts'
import { formatProgress, progressOfJob, progressOfRecord } from './progress-line.ts'

interface WatchOptions extends ConnectionOptions {
  client: string
  file?: string
  job?: string
}

export function watchCommand(): Command {
  const command = new Command('watch')
    .description('follow files or a job live; ends with the file or the job that was named, else with Ctrl-C')
    .option('--client <krn>', 'whose files', 'krn:dev')
    .option('--file <name>', 'only this file')
    .option('--job <id>', 'a job instead of a client’s files')
  return addConnectionOptions(command).action(watch)
}

async function watch(options: WatchOptions): Promise<void> {
  const connection = openConnection(options)
  const lines = createLiveLines()
  try {
    if (options.job !== undefined) {
      const job = await followJob(connection, lines, options.job, options.job)
      if (job?.status === 'failed' || job?.status === 'cancelled') process.exitCode = 1
    } else await followRecords(connection, lines, options)
  } finally {
    lines.end()
  }
}

async function followRecords(connection: Connection, lines: LiveLines, options: WatchOptions): Promise<void> {
  const { client: clientKrn, file: filename } = options
  await follow(connection, lines, async (following) => {
    for await (const record of watchProgress({ ...following, clientKrn, filename })) {
      // Only the one file that was asked for can be over: of many, a completed one stays in view.
      const isFinal = filename !== undefined && record.isCompleted
      lines.show(record.id, formatProgress(progressOfRecord(record)), { isFinal })
    }
  })
}

/** Follows a job to its end. @returns its last state, `undefined` when it was over and nothing was sent */
export async function followJob(
  connection: Connection,
  lines: LiveLines,
  jobId: string,
  name: string,
): Promise<JobProgress | undefined> {
  let last: JobProgress | undefined
  await follow(connection, lines, async (following) => {
    for await (const job of watchJob({ ...following, jobId })) {
      last = job
      const progress = progressOfJob(name, job)
      lines.show(jobId, formatProgress(progress), { isFinal: progress.state !== 'running' })
    }
  })
  return last
}

/** Fails when the service cannot be reached at the start; later it may go and come back. */
async function follow(
  connection: Connection,
  lines: LiveLines,
  run: (options: FollowOptions) => Promise<void>,
): Promise<void> {
  const abort = new AbortController()
  let wasOpen = false
  let unreachable: Error | undefined
  const onOpen = () => {
    wasOpen = true
  }
  const onRetry: FollowOptions['onRetry'] = (error, { failures }) => {
    if (error && !wasOpen) {
      unreachable = error
      abort.abort()
    } else if (failures === 1) lines.note('The connection was lost; trying again …')
  }
  try {
    await run({ ...connection, signal: abort.signal, onOpen, onRetry })
    if (unreachable) throw unreachable
  } catch (error) {
    throw asCommandError(error, connection)
  }
}
