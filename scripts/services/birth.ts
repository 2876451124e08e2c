import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/**
 * When the process began, as a mark that no other process with its number has had or will have; `undefined` when it is
 * no more (a zombie is no more, too).
 */
export async function birthOf(pid: number): Promise<string | undefined> {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

/** Ticks since the machine started, and which start of the machine that was. */
async function fromProc(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name, in parentheses, may hold anything; the state is the next field, the start the twentieth from there.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined || 'ZX'.includes(fields[0]!)) return undefined
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
  return `${boot.trim()} ${fields[19]}`
}

async function fromPs(pid: number): Promise<string | undefined> {
  const shown = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]).catch(
    () => undefined,
  )
  const [state, ...start] = shown?.stdout.trim().split(/\s+/) ?? []
  return state === undefined || state === '' || state.startsWith('Z') ? undefined : start.join(' ')
}
