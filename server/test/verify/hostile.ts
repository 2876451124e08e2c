import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { Scope } from '../helpers/scope.ts'
import { type SpawnedServer, spawnServer } from '../helpers/server.ts'
import { uploadStream, waitForEnd } from '../jobs/helpers.ts'
import type { HostileFile } from './hostile-files.ts'

const MiB = 1024 * 1024
/** Generous: an idle server has about 150. */
export const MAX_PEAK_BYTES = 450 * MiB

export interface HostileReport {
  what: string
  seconds: number
  /** Most memory that the process had since the last one; since its start where that cannot be told. */
  peakMiB: number
}

/** A server with a small heap, so that what is garbage goes before it counts. */
export const spawnSmallServer = (scope: Scope, env: Record<string, string> = {}) =>
  spawnServer(scope, { NODE_OPTIONS: '--max-old-space-size=256 --max-semi-space-size=8', ...env })

/** One file through a server of its own process, and everything that a person reads of it afterwards. */
export async function runHostileFile(
  server: SpawnedServer,
  { what, chunks, expect }: HostileFile,
  { scale, clientKrn }: { scale: number; clientKrn: string },
): Promise<HostileReport> {
  const pid = server.process.pid!
  const startedAt = Date.now()
  await forgetPeak(pid)
  const token = await server.token('alice@example.com', clientKrn)
  const jobId = await uploadStream(server, chunks(scale), { token })
  const job = await waitForEnd(server, jobId, token, 3_600_000)
  const expected = expect(scale)
  if ('fault' in expected) {
    assert.deepEqual([job.error, job.status], [expected.fault, 'failed'], what)
  } else {
    const { success, failed, firstError } = expected
    assert.deepEqual(
      [job.error, job.status, job.totalRows, job.successCount, job.failedCount],
      [null, 'completed', success + failed, success, failed],
      what,
    )
    if (firstError) assert.match(job.errors[0].message, firstError, what)
  }
  assert.equal((await server.call('GET', '/api/jobs', { token })).status, 200)
  await drain(`${server.url}/api/jobs/${jobId}/errors.csv`, token)
  const peak = await peakMemory(pid)
  const peakMiB = Math.round(peak / MiB)
  assert.ok(peak < MAX_PEAK_BYTES, `${what}: the server took ${peakMiB} MiB`)
  return { what, seconds: (Date.now() - startedAt) / 1000, peakMiB }
}

async function drain(url: string, token: string): Promise<void> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  assert.equal(response.status, 200)
  for await (const _chunk of response.body!) {
    // Its bytes are counted by the server's memory alone.
  }
}

/** Most memory that a process ever had, or had since {@link forgetPeak}. */
export async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024
}

/** Where the kernel allows it. */
const forgetPeak = (pid: number) => writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {})
