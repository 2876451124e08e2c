/** What every benchmark needs: a PostgreSQL of its own with durable commits, servers as child processes, medians. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startEmbeddedPostgres } from '../server/src/platform/postgres/embedded.ts'
import { openDevIssuer } from '../server/src/platform/tokens/dev-issuer.ts'

export interface Bench extends AsyncDisposable {
  databaseUrl: string
  token(email: string): Promise<string>
  /** Runs a server whose path is relative to this folder, and waits until it tells its address. */
  start(file: string, args?: string[], more?: Record<string, string>): Promise<Started>
  /** Machine and versions, for the raw results. */
  describe(): object
}

/** A server; what is not stopped before ends with the bench. */
export interface Started extends AsyncDisposable {
  url: string
  pid: number
}

export async function openBench(): Promise<Bench> {
  await using opened = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'pebbles-bench-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const postgres = opened.use(await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres') }))
  const issuer = await openDevIssuer({ dataDir })
  const env = {
    ...process.env,
    DATABASE_URL: postgres.url,
    PEBBLES_DATA: dataDir,
    PEBBLES_ROLES: 'api',
    PORT: '0',
    LOG_LEVEL: 'warn',
  }
  const owned = opened.move()

  return {
    databaseUrl: postgres.url,
    token: (email) => issuer.issue({ email }),
    async start(file, args = [], more = {}) {
      const path = fileURLToPath(new URL(file, import.meta.url))
      const child = spawn(process.execPath, [path, ...args], {
        env: { ...env, ...more },
        stdio: ['ignore', 'inherit', 'pipe'],
      })
      owned.defer(() => stop(child))
      for await (const line of createInterface({ input: child.stderr })) {
        const url = /listens on (http:\S+)/.exec(line)?.[1]
        if (!url) continue
        child.stderr.resume()
        return { url, pid: child.pid!, [Symbol.asyncDispose]: () => stop(child) }
      }
      throw new Error(`${file} did not start`)
    },
    describe: () => ({
      at: new Date().toISOString(),
      machine: `${cpus().length} × ${cpus()[0]?.model}`,
      node: process.version,
      postgres: postgres.version,
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export interface Spent {
  /** Milliseconds of CPU that the process took in all, its start included. */
  cpuMs: number
  peakMiB: number
}

/** What Linux says of a process that runs. */
export async function spent(pid: number): Promise<Spent> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const peakKiB = Number(/VmHWM:\s+(\d+) kB/.exec(status)![1])
  // In hundredths of a second.
  return { cpuMs: 10 * (Number(fields[11]) + Number(fields[12])), peakMiB: Math.round(peakKiB / 1024) }
}
