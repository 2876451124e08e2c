import { createWriteStream } from 'node:fs'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection, paths } from '@pebbles/client'
import { Command } from 'commander'
import { PebblesError } from '../platform/errors.ts'
import {
  addConnectionOptions,
  type ConnectionOptions,
  createRequest,
  openConnection,
  type Request,
} from './connection.ts'
import { createLiveLines, printable } from './live-lines.ts'
import { formatBar, number } from './progress-line.ts'
import { uploadFile } from './upload.ts'
import { followJob } from './watch.ts'

/** Times that the line of an upload changes. */
const UPLOAD_STEPS = 200

/** How an import that was not completed ended. */
const WHAT_HAPPENED: Record<string, string> = { failed: 'failed', cancelled: 'was cancelled' }

interface ImportOptions extends ConnectionOptions {
  client?: string
  dataset?: string
  parent?: string
  errors?: string
}

type Job = paths['/api/jobs/{id}']['get']['responses'][200]['content']['application/json']

export function importCommand(): Command {
  const command = new Command('import')
    .description('upload a file and follow its import; refused rows are told, and no failure of the command')
    .argument('<file>', 'CSV with a header')
    .option('--dataset <name>', 'what the rows are', 'customers')
    .option('--errors <file>', 'where to save the refused rows, as CSV')
    .option('--parent <id>', 'the job whose refused rows this file corrects')
    .option('--client <krn>', 'client of the development token')
  return addConnectionOptions(command).action(importFile)
}

async function importFile(path: string, options: ImportOptions): Promise<void> {
  const connection = openConnection(options, options.client)
  const request = createRequest(connection)
  const jobId = await upload(request, path, options)
  console.log(`Job ${jobId}. It goes on without this command, which can be taken up again with:`)
  console.log(`  npx pebbles watch --job ${jobId}`)
  await follow(connection, jobId, basename(path))

  const job = (await (await request(`/api/jobs/${jobId}`)).json()) as Job
  console.log(summarize(job))
  if (job.failedCount > 0) await tellErrors(request, connection, job, options.errors)
  else if (options.errors) console.log(`No row was refused: ${options.errors} was not written.`)
  if (job.status !== 'completed') {
    const how = WHAT_HAPPENED[job.status] ?? `is ${job.status}`
    throw new PebblesError('invalid_request', `The import ${how}. ${printable(job.error ?? '')}`.trim())
  }
}

async function upload(request: Request, path: string, options: ImportOptions): Promise<string> {
  const { dataset, parent } = options
  const lines = createLiveLines()
  let shownBytes = 0
  try {
    const onSent = (sentBytes: number, sizeBytes: number) => {
      if (sentBytes - shownBytes < sizeBytes / UPLOAD_STEPS && sentBytes < sizeBytes) return
      shownBytes = sentBytes
      const line = `${formatBar(sentBytes, sizeBytes, { unit: 'bytes' })}  uploading ${printable(basename(path))}`
      lines.show('upload', line, { isFinal: sentBytes === sizeBytes })
    }
    return await uploadFile(request, { path, dataset, parent }, onSent)
  } finally {
    lines.end()
  }
}

async function follow(connection: Connection, jobId: string, name: string): Promise<void> {
  const lines = createLiveLines()
  try {
    await followJob(connection, lines, jobId, name)
  } finally {
    lines.end()
  }
}

function summarize({ totalRows, successCount, failedCount, createdAt, completedAt }: Job): string {
  const rows = totalRows ?? successCount + failedCount
  const ms = completedAt === null ? undefined : Date.parse(completedAt) - Date.parse(createdAt)
  const time = ms === undefined ? '' : ` in ${(ms / 1000).toFixed(1)} s`
  return `${number(rows)} rows${time}: ${number(successCount)} imported, ${number(failedCount)} refused.`
}

async function tellErrors(
  request: Request,
  { url }: Connection,
  { id }: Job,
  target?: string,
): Promise<void> {
  const path = `/api/jobs/${id}/errors.csv`
  if (target === undefined) {
    console.log(`The refused rows, with the reasons: ${url}${path} (or --errors FILE)`)
    return
  }
  const response = await request(path)
  await pipeline(Readable.fromWeb(response.body as never), createWriteStream(target))
  console.log(`The refused rows, with the reasons, are in ${target}.`)
}
