import { readFile, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { PebblesError } from '../errors.ts'

/** A user of the operating system that PostgreSQL runs as. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/**
 * The user that the server runs as: undefined (this process's own) unless that is root, as whom PostgreSQL
 * refuses to run. For root it is the owner of a cluster that exists, so that a folder moved to a machine where
 * `postgres` has another number still starts; for a new one `postgres`, else `nobody`. None is created.
 *
 * @throws PebblesError `misconfigured` when the system knows no user to run as
 */
export async function chooseAccount(clusterDir: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  if (process.platform !== 'linux') {
    throw new PebblesError(
      'misconfigured',
      'PostgreSQL does not run as root. Run Pebbles as an ordinary user, or set DATABASE_URL.',
    )
  }
  const owner = await findOwner(clusterDir)
  if (owner !== undefined && owner.uid !== 0) return owner

  const accounts = parsePasswd(await readFile('/etc/passwd', 'utf8').catch(() => ''))
  const account = accounts.get('postgres') ?? accounts.get('nobody')
  if (account === undefined) {
    throw new PebblesError(
      'misconfigured',
      'PostgreSQL does not run as root, and /etc/passwd has neither a user "postgres" nor "nobody" that it could run as. ' +
        'Run Pebbles as an ordinary user, or set DATABASE_URL.',
    )
  }
  return account
}

/**
 * initdb looks up the name of the user it runs as, and fails without one; a container that was started with
 * some user number has none. Asked only before initdb, since the server itself does not mind.
 *
 * @throws PebblesError `misconfigured`
 */
export function requireNamedUser(account: Account | undefined): void {
  if (account !== undefined) return
  try {
    userInfo()
  } catch (cause) {
    throw new PebblesError(
      'misconfigured',
      `The user with the number ${process.getuid?.()} has no name in /etc/passwd, which PostgreSQL needs to create its data. ` +
        'Add one, run Pebbles as another user, or set DATABASE_URL.',
      { cause },
    )
  }
}

async function findOwner(path: string): Promise<Account | undefined> {
  try {
    const { uid, gid } = await stat(path)
    return { uid, gid }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parsePasswd(text: string): Map<string, Account> {
  const accounts = new Map<string, Account>()
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name && uid && gid && Number(uid) !== 0) accounts.set(name, { uid: Number(uid), gid: Number(gid) })
  }
  return accounts
}
