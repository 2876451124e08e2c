import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { spawnServer, type TestServer } from '../helpers/server.ts'
import { HEADER, waitForEnd } from './helpers.ts'

const MiB = 1024 * 1024
const isLinux = process.platform === 'linux'

/** Sends a file that exists nowhere as a whole, not even here. */
async function uploadGenerated(server: TestServer, sizeBytes: number, prefix: string): Promise<string> {
  const encoder = new TextEncoder()
  function* form() {
    yield `--b\r\ncontent-disposition: form-data; name="file"; filename="${prefix}.csv"\r\n\r\n${HEADER}`
    const company = 'c'.repeat(4_000)
    for (let n = 0, bytes = 0; bytes < sizeBytes; n++) {
      const line = `N,${prefix}${n}@example.com,,${company}\n`
      bytes += line.length
      yield line
    }
    yield '\r\n--b--\r\n'
  }
  const body = ReadableStream.from(form()).pipeThrough(
    new TransformStream({ transform: (chunk, controller) => controller.enqueue(encoder.encode(chunk)) }),
  )
  const response = await fetch(`${server.url}/api/jobs/upload`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=b' },
    body,
    duplex: 'half',
  } as RequestInit)
  assert.equal(response.status, 200)
  return ((await response.json()) as { jobId: string }).jobId
}

/** Most memory that a process ever had. */
async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024
}

test('memory does not grow with the file', { skip: !isLinux && 'reads /proc' }, async (t) => {
  // A small heap, so that what is garbage goes before it counts.
  const server = await spawnServer(t, { NODE_OPTIONS: '--max-old-space-size=96 --max-semi-space-size=8' })
  const peakAfter = async (sizeBytes: number, prefix: string) => {
    const job = await waitForEnd(server, await uploadGenerated(server, sizeBytes, prefix))
    assert.equal(job.status, 'completed')
    return peakMemory(server.process.pid!)
  }
  // Long enough for what the collector leaves lying about to have reached its most.
  const small = await peakAfter(40 * MiB, 'small')
  const large = await peakAfter(160 * MiB, 'large')
  assert.ok(large - small < 60 * MiB, `${Math.round((large - small) / MiB)} MiB more for 120 MiB more`)
})
