import { readFile } from 'node:fs/promises'
import type { SpawnedServer } from '../helpers/server.ts'

const MiB = 1024 * 1024

/** Memory of the instances, looked at twice a second. */
export function watchMemory(servers: readonly SpawnedServer[]) {
  let peak = 0
  let now = 0
  async function look(): Promise<void> {
    const all = await Promise.all(servers.map(({ process }) => rssOf(process.pid!)))
    now = Math.max(...all)
    peak = Math.max(peak, now)
  }
  const timer = setInterval(() => void look(), 500)
  return {
    nowMiB: () => Math.round(now / MiB),
    peakMiB: () => Math.round(peak / MiB),
    stop: () => clearInterval(timer),
  }
}

/** @returns 0 for one that has ended */
async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
}
