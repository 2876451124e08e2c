import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

/**
 * Makes the folder `target` by `fill`, whole or not at all: filled beside its place and renamed. Of two processes that
 * do so at the same time, the first one's stays.
 */
export async function installOnce(target: string, fill: (draft: string) => Promise<void>): Promise<void> {
  if (await exists(target)) return
  await mkdir(dirname(target), { recursive: true })
  const draft = await mkdtemp(join(dirname(target), `.${basename(target)}-`))
  try {
    await fill(draft)
    await rename(draft, target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/** Runs a program to its end. @returns its standard output @throws Error with what it wrote, when it fails */
export async function run(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const outputs = [child.stdout, child.stderr].map((stream) => text(stream))
  const [code] = (await once(child, 'close')) as [number | null]
  const [output, errors] = (await Promise.all(outputs)) as [string, string]
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output}${errors}`)
  return output
}

/** Whether a program is on the path; `argument` makes it do nothing. */
export function isOnPath(command: string, argument = '--version'): boolean {
  return spawnSync(command, [argument]).status === 0
}
