/**
 * Does size hurt? One record with 1,000,000 errors, and one client with 100,000 records.
 *
 *   npm run bench:ledger-scale
 *
 * Prints medians in ms of 100 requests one after the other, and the memory of the server's process while the errors
 * arrive, 10,000 in each update.
 * Raw values go to `bench/results/ledger-scale.json`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { median, openBench } from './bench.ts'

const ERRORS = 1_000_000
const RECORDS = 100_000
const SAMPLES = 100

await using bench = await openBench()
const { url, pid } = await bench.start('../server/src/main.ts', ['serve'])
const token = await bench.token('alice@example.com')
const raw: Record<string, number[]> = {}

await call('POST', '/clients/krn:warm/progress', { filename: 'warm.csv', counts: counts(1) })
const memory: Record<string, number> = { 'no errors': await memoryMiB() }

for (let sent = 0; sent < ERRORS; sent += 10_000) {
  const errors = Array.from({ length: 10_000 }, (_, n) => ({
    line: sent + n,
    message: `row ${sent + n} is not valid`,
  }))
  await call('POST', '/clients/krn:big/progress', { filename: 'big.csv', counts: counts(10_000), errors })
  const stored = sent + 10_000
  if (stored % 250_000 === 0) memory[`${stored.toLocaleString('en-US')} errors`] = await memoryMiB()
}
const one = { filename: 'big.csv', counts: counts(1), errors: [{ line: 1, message: 'one more' }] }
await sample('update of a record with 1,000,000 errors', () => call('POST', '/clients/krn:big/progress', one))
await sample('read of a record with 1,000,000 errors', () =>
  call('GET', '/clients/krn:big/progress?filename=big.csv'),
)

for (let sent = 0; sent < RECORDS; sent += 1_000) {
  const items = Array.from({ length: 1_000 }, (_, n) => ({
    filename: `file-${sent + n}.csv`,
    counts: counts(1),
  }))
  await call('POST', '/clients/krn:many/progress/batch', items)
}
await sample('first page of 100,000 records', () => call('GET', '/clients/krn:many/progress?limit=100'))
let last = '/clients/krn:many/progress?limit=1000'
for (;;) {
  const next = /<([^>]+)>/.exec((await call('GET', last)).headers.get('link') ?? '')?.[1]
  if (!next) break
  last = next
}
const lastHundred = last.replace('limit=1000', 'limit=100')
await sample('last page of 100,000 records, by cursor', () => call('GET', lastHundred))

for (const [when, mebibytes] of Object.entries(memory))
  console.log(`memory of the server, ${when}: ${mebibytes} MiB`)
const report = { ...bench.describe(), memoryMiB: memory, milliseconds: raw }
const file = fileURLToPath(new URL('./results/ledger-scale.json', import.meta.url))
await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)

function counts(done: number) {
  return { done, warn: 0, failed: 0 }
}

async function sample(name: string, work: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < 10; i++) await work()
  const times: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const startedAt = performance.now()
    await work()
    times.push(performance.now() - startedAt)
  }
  raw[name] = times
  console.log(`${name}: median ${median(times).toFixed(1)} ms`)
}

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
  return response
}

async function memoryMiB(): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
}
