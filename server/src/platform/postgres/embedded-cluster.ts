import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  access,
  chmod,
  chown,
  lchown,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { PebblesError } from '../errors.ts'
import { requireNamedUser } from './embedded-account.ts'
import { dataArgument, discardFolder, programPath, runProgram, type Toolbox } from './embedded-program.ts'

/** The application's role and database. */
export const ROLE = 'pebbles'

export interface Cluster {
  /** What PostgreSQL calls the data directory. */
  readonly dir: string
  readonly password: string
}

/** Where the cluster lies in Pebbles' folder for PostgreSQL. */
export function clusterDirOf(dataDir: string): string {
  return join(dataDir, 'cluster')
}

/**
 * The cluster in `dataDir`, made when there is none.
 *
 * A new one is made in a folder beside its place, complete with role, database and access rules, synced, and
 * renamed: whoever finds `cluster` finds a finished one, whenever an earlier start was interrupted.
 *
 * @throws PebblesError `misconfigured` when the cluster is of another major version, or another user's
 */
export async function prepareCluster(
  toolbox: Toolbox,
  dataDir: string,
  log: (message: string) => void,
): Promise<Cluster> {
  const dir = clusterDirOf(dataDir)
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('cluster.new-')) await discardFolder(join(dataDir, name), log)
  }
  if (!(await exists(dir))) return { dir, password: await createCluster(toolbox, dataDir, dir, log) }
  await requireSameVersion(toolbox, dir)
  await handOver(toolbox, dir, log)
  const password = (await readPassword(dataDir)) ?? (await replacePassword(toolbox, dataDir, dir, log))
  return { dir, password }
}

async function createCluster(
  toolbox: Toolbox,
  dataDir: string,
  dir: string,
  log: (message: string) => void,
): Promise<string> {
  requireNamedUser(toolbox.account)
  log(`Creating a PostgreSQL ${toolbox.version} database in ${dir}`)
  const password = newPassword()
  const draft = join(dataDir, `cluster.new-${randomBytes(6).toString('hex')}`)
  try {
    await mkdir(draft, { mode: 0o700 })
    if (toolbox.account !== undefined) await chown(draft, toolbox.account.uid, toolbox.account.gid)
    await initialise(toolbox, draft)
    await runSingleUser(toolbox, draft, [
      `CREATE ROLE ${ROLE} LOGIN CREATEDB PASSWORD '${password}'`,
      `CREATE DATABASE ${ROLE} OWNER ${ROLE}`,
    ])
    await initdb(toolbox, draft, ['--sync-only'])
    await storePassword(dataDir, password)
    await rename(draft, dir)
    await syncFolder(dataDir)
    return password
  } catch (cause) {
    await discardFolder(draft, log)
    if (cause instanceof PebblesError) throw cause
    throw new PebblesError('unavailable', `The PostgreSQL database could not be created in ${dir}.`, {
      cause,
    })
  }
}

/**
 * `postgres`, the superuser, gets no password and the rules let nobody in without one, so there is no way in as
 * superuser but the single-user mode of a stopped server. The collation is PostgreSQL's own `C.UTF-8`: one of
 * the operating system's may sort differently after an upgrade, and corrupt indexes.
 */
async function initialise(toolbox: Toolbox, draft: string): Promise<void> {
  await initdb(toolbox, draft, [
    '--username=postgres',
    '--auth=reject',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--data-checksums',
    '--no-sync',
    '--no-instructions',
  ])
  const rules = `# type database user address method\nhost all ${ROLE} 127.0.0.1/32 scram-sha-256\n`
  await writeFile(join(draft, 'pg_hba.conf'), rules)
}

async function initdb(toolbox: Toolbox, dir: string, args: string[]): Promise<void> {
  await runProgram(programPath(toolbox.nativeDir, 'initdb'), [...args, '-D', dataArgument(toolbox, dir)], {
    account: toolbox.account,
    workingDir: dir,
  })
}

/** One statement per line; the first that fails ends it. */
async function runSingleUser(
  toolbox: Toolbox,
  dir: string,
  statements: string[],
  settings: string[] = ['-c', 'fsync=off'],
): Promise<void> {
  const data = ['-D', dataArgument(toolbox, dir)]
  // A failing statement would be written to the error's text, with the password in it.
  const quiet = ['-c', 'exit_on_error=on', '-c', 'log_min_error_statement=panic', '-c', 'log_checkpoints=off']
  await runProgram(
    programPath(toolbox.nativeDir, 'postgres'),
    ['--single', ...data, ...quiet, ...settings, 'postgres'],
    { account: toolbox.account, workingDir: dir, input: statements.map((line) => `${line}\n`).join('') },
  )
}

async function requireSameVersion(toolbox: Toolbox, dir: string): Promise<void> {
  const ours = toolbox.version.split('.')[0]
  let theirs: string
  try {
    theirs = (await readFile(join(dir, 'PG_VERSION'), 'utf8')).trim()
  } catch (cause) {
    throw new PebblesError(
      'misconfigured',
      `The folder ${dir} cannot be read as PostgreSQL's data: it belongs to another user, or is something else.`,
      { cause },
    )
  }
  if (theirs === ours) return
  throw new PebblesError(
    'misconfigured',
    `The data in ${dir} was made by PostgreSQL ${theirs}, and this Pebbles brings PostgreSQL ${ours}. ` +
      'Dump it with the Pebbles that made it and load the dump into a new folder, or go back to that Pebbles.',
  )
}

/** A copy that root made of the folder belongs to root, as whom no PostgreSQL runs. */
async function handOver(toolbox: Toolbox, dir: string, log: (message: string) => void): Promise<void> {
  if (toolbox.account === undefined || (await stat(dir)).uid !== 0) return
  const { uid, gid } = toolbox.account
  log(`Handing ${dir} over from root to the user ${uid}`)
  for (const entry of await readdir(dir, { recursive: true })) await lchown(join(dir, entry), uid, gid)
  await chmod(dir, 0o700)
  // Last, so that an interrupted one is done again.
  await chown(dir, uid, gid)
}

async function readPassword(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, 'password'), 'utf8')).trim() || undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function replacePassword(
  toolbox: Toolbox,
  dataDir: string,
  dir: string,
  log: (message: string) => void,
): Promise<string> {
  log('The password file is missing: giving the database a new password')
  const password = newPassword()
  try {
    await runSingleUser(toolbox, dir, [`ALTER ROLE ${ROLE} PASSWORD '${password}'`], [])
  } catch (cause) {
    throw new PebblesError('unavailable', `The database in ${dir} could not be given a new password.`, {
      cause,
    })
  }
  await storePassword(dataDir, password)
  return password
}

/** Hexadecimal, so that it needs no quoting in a URL or in SQL. */
function newPassword(): string {
  return randomBytes(24).toString('hex')
}

async function storePassword(dataDir: string, password: string): Promise<void> {
  const path = join(dataDir, 'password')
  {
    await using file = await open(`${path}.new`, 'w', 0o600)
    await file.writeFile(`${password}\n`)
    await file.sync()
  }
  await rename(`${path}.new`, path)
  await syncFolder(dataDir)
}

/** Makes a rename durable. Windows cannot open a folder, and does not need it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  await using folder = await open(path, 'r')
  await folder.sync()
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Makes Pebbles' folder for PostgreSQL, closed to everybody else. */
export async function openDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await chmod(dataDir, 0o700)
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new PebblesError('misconfigured', `The data folder ${dataDir} cannot be written to.`, { cause })
  }
}
