import { execFile } from 'node:child_process'
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isAlive } from './embedded-lock.ts'

/**
 * Names the cluster on the command line of its postmaster, by device and inode: a copy of the folder, which
 * brings a copy of `postmaster.pid` along, has another mark, and a folder that was moved keeps its own.
 */
export async function markOf(clusterDir: string): Promise<string> {
  const { dev, ino } = await stat(clusterDir, { bigint: true })
  return `cluster_name=pebbles-${dev}-${ino}`
}

/** A postmaster that an earlier Pebbles left behind. */
export interface Orphan {
  readonly pid: number
  /** Resolves to true when it has ended within that time. */
  waitForEnd(timeoutMs: number): Promise<boolean>
}

/**
 * The postmaster that still works on this cluster after its Pebbles was killed, if there is one. To be called
 * by the owner of the folder's lock, so that no other Pebbles may be using it.
 *
 * When `postmaster.pid` names a process that is something else by now, the file is removed: PostgreSQL, which
 * only sees that some process has that number, would refuse to start. Should this judgement ever be wrong, its
 * second interlock (the shared memory segment) still keeps two servers off the same data.
 */
export async function findOrphan(
  clusterDir: string,
  log: (message: string) => void,
): Promise<Orphan | undefined> {
  const file = join(clusterDir, 'postmaster.pid')
  const pid = await readPid(file)
  if (pid === undefined || !isAlive(pid)) return undefined

  const mark = await markOf(clusterDir)
  const isOurs = async () => (await commandLineOf(pid)).split(/\s/).includes(mark)
  if (!(await isOurs())) {
    log(`Removing a stale postmaster.pid: process ${pid} is another program`)
    await rm(file, { force: true })
    return undefined
  }
  return {
    pid,
    waitForEnd: async (timeoutMs) => {
      const deadline = Date.now() + timeoutMs
      while (await isOurs()) {
        if (Date.now() > deadline) return false
        await sleep(25)
      }
      return true
    },
  }
}

async function readPid(file: string): Promise<number | undefined> {
  try {
    // The number is negative when single-user mode wrote it.
    const pid = Math.abs(Number.parseInt(await readFile(file, 'utf8'), 10))
    return Number.isNaN(pid) || pid === 0 ? undefined : pid
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The command line with blanks between arguments; empty when there is no such process, or only its remains. */
async function commandLineOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ESRCH') return ''
      throw error
    })
    return text.replaceAll('\0', ' ')
  }
  const [program, args] =
    process.platform === 'win32'
      ? ([
          'powershell',
          [
            '-NoProfile',
            '-Command',
            `(Get-CimInstance Win32_Process -Filter "ProcessId=${pid}").CommandLine`,
          ],
        ] as const)
      : (['ps', ['-ww', '-o', 'command=', '-p', String(pid)]] as const)
  try {
    return (await promisify(execFile)(program, [...args])).stdout
  } catch (error) {
    // `ps` ends with 1 when there is no such process.
    if ((error as { code?: unknown }).code === 1) return ''
    throw error
  }
}
