/**
 * `npm run demo`: starts the service, imports examples/customers.csv, reports on another file as an outside worker
 * would, and leaves everything on show until Ctrl-C. It can be run again: every run works on files of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createProgressReporter, type ProgressReporter, watchProgress } from '@pebbles/client'
import { createRequest } from '../server/src/commands/connection.ts'
import { createLiveLines } from '../server/src/commands/live-lines.ts'
import { formatProgress, progressOfRecord } from '../server/src/commands/progress-line.ts'
import { uploadFile } from '../server/src/commands/upload.ts'
import { followJob } from '../server/src/commands/watch.ts'
import { readConfig } from '../server/src/config.ts'
import { openDevIssuer } from '../server/src/platform/tokens/dev-issuer.ts'

const MAIN = fileURLToPath(new URL('../server/src/main.ts', import.meta.url))
const CUSTOMERS = fileURLToPath(new URL('../examples/customers.csv', import.meta.url))
/** Where imports without a token go, so that both files are seen together. */
const CLIENT = 'krn:dev'
const ORDERS = 500
const ORDER_MS = 20

const config = readConfig(process.env)
if (config.auth !== 'dev')
  throw new Error(`The demo makes its own tokens, which AUTH=${config.auth} does not take.`)
const service = startService()
const url = await readUrl(service)
console.log(`Pebbles runs at ${url}\n`)

const connection = { url }
const lines = createLiveLines()
// A name that no earlier run has used: a file that was completed takes no further reports.
const ordersFile = `orders-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.csv`
const [jobId, recordId] = await Promise.all([importCustomers(), watchOrders(), reportOrders()])
lines.end()
tellWhatToSee(jobId, recordId)

function startService(): ChildProcess {
  const env = { ...process.env, LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn' }
  const child = spawn(process.execPath, [MAIN, 'serve'], { env, stdio: ['ignore', 'inherit', 'pipe'] })
  // Ctrl-C reaches both; the service then ends in good order, and the demo with it.
  process.on('SIGINT', () => console.log('\nStopping …'))
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('exit', () => child.kill('SIGTERM'))
  child.on('close', (code) => process.exit(code ?? 1))
  return child
}

/** The address that the starting service tells; what else it says is passed on. */
function readUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    createInterface({ input: child.stderr! }).on('line', (line) => {
      const found = /listens on (http:\S+)/.exec(line)?.[1]
      if (found) resolve(found)
      else console.error(line)
    })
  })
}

/** Uploads the example and follows its import. */
async function importCustomers(): Promise<string> {
  const id = await uploadFile(createRequest(connection), { path: CUSTOMERS }, () => {})
  const job = await followJob(connection, lines, id, 'customers.csv')
  if (job?.successCount === 0) lines.note('  (an earlier run imported them: an e-mail address is taken once)')
  return id
}

/** Shows the orders as anybody sees them who watches. @returns the record's id */
async function watchOrders(): Promise<string> {
  let id = ''
  for await (const record of watchProgress({ ...connection, clientKrn: CLIENT, filename: ordersFile })) {
    id = record.id
    lines.show(id, formatProgress(progressOfRecord(record)), { isFinal: record.isCompleted })
  }
  return id
}

/** A worker of somebody else's, with the SDK: some ten seconds of orders, a few of them wrong. */
async function reportOrders(): Promise<void> {
  const { dataDir, JWT_CLIENT_CLAIM: clientClaim } = config
  const issuer = await openDevIssuer({ dataDir, clientClaim })
  await using reporter = createProgressReporter({
    ...connection,
    clientKrn: CLIENT,
    filename: ordersFile,
    token: () => issuer.issue({ email: 'worker@example.com' }),
    total: ORDERS,
  })
  for (let order = 1; order <= ORDERS; order++) {
    // The header is line 1 of the file.
    reportOrder(reporter, order + 1)
    await new Promise((resolve) => setTimeout(resolve, ORDER_MS))
  }
  await reporter.complete()
}

function reportOrder(reporter: ProgressReporter, line: number): void {
  if (line % 61 === 0) {
    reporter.failed()
    reporter.error(line, `quantity: "${line % 7}x" is not a number`)
  } else if (line % 43 === 0) {
    reporter.warn()
    reporter.warning(line, 'currency: missing, taken to be EUR')
  } else reporter.done()
}

function tellWhatToSee(jobId: string, recordId: string): void {
  const records = `${url}/clients/${CLIENT}/progress`
  console.log(`
Both files are in one ledger:
  curl '${records}'
What went wrong in the orders, and which customers were refused, as CSV:
  curl '${records}/${recordId}/errors.csv'
  curl '${url}/api/jobs/${jobId}/errors.csv'
Who reported what, and when:
  curl '${records}/${recordId}/events'
Live, in another terminal:
  npx pebbles watch --url ${url}
  npx pebbles import examples/customers.csv --url ${url}
All of the API: ${url}/docs

The service runs on until Ctrl-C.`)
}
