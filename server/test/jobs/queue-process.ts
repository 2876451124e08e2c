import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { until } from '../helpers/until.ts'
import type { QueueBench, QueueServer } from './queue-bench.ts'

const WORKER = fileURLToPath(new URL('fixtures/queue-worker.ts', import.meta.url))

export interface QueueProcess {
  /** What it was brought so far: `<job> <attempt>` each. */
  lines: string[]
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** A worker in a process of its own, which can be killed. */
export async function spawnWorker(
  scope: Scope,
  { databaseUrl }: QueueBench,
  { redisUrl }: QueueServer,
  env: Record<string, string> = {},
): Promise<QueueProcess> {
  const child = spawn(process.execPath, [WORKER], {
    env: { ...process.env, ...env, DATABASE_URL: databaseUrl, ...(redisUrl && { REDIS_URL: redisUrl }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
  }
  atEnd(scope, () => end('SIGKILL'))
  const lines: string[] = []
  let isReady = false
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line === 'ready') isReady = true
    else lines.push(line)
  })
  await until('the worker is ready', () => isReady)
  return { lines, end }
}
