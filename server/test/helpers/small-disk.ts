import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { atEnd, type Scope } from './scope.ts'

export interface SmallDisk {
  path: string
  grow(size: string): void
}

/** Why no disk can be mounted here, or false when one can. */
export const noSmallDisk: string | false =
  process.platform === 'linux' && process.getuid?.() === 0 && canMount()
    ? false
    : 'needs to mount a tmpfs as root'

/** A file system of its own that holds so much and no more, such as `16m`. */
export function mountSmallDisk(scope: Scope, path: string, size: string): SmallDisk {
  mkdirSync(path, { recursive: true })
  mount('-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path)
  // Lazily: a process that is about to end may still have a file open.
  atEnd(scope, () => execFileSync('umount', ['-l', path]))
  return { path, grow: (larger) => mount('-o', `remount,size=${larger}`, path) }
}

function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const mount = (...args: string[]) => execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe'] })
