import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { birthOf } from '../../../scripts/services/birth.ts'
import { redis } from '../../../scripts/services/redis.ts'
import { programsDir } from '../../../scripts/services/service.ts'
import { withLock } from '../../../scripts/services/state.ts'
import { startRedis } from '../helpers/redis.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { kafkaMissing, redisMissing } from '../helpers/services.ts'
import { until } from '../helpers/until.ts'

const MAIN = fileURLToPath(new URL('../../../scripts/services/main.ts', import.meta.url))

interface Ended {
  code: number
  output: string
  errors: string
}

/** The command with a folder of its own, but the programs that are installed already; `down` at the end. */
async function prepareCommand(scope: Scope) {
  const root = await createTestDir(scope)
  await mkdir(programsDir(), { recursive: true })
  await symlink(programsDir(), join(root, 'programs'))
  const start = (args: string[], more = {}) => {
    const env = { ...process.env, PEBBLES_SERVICES: root, ...more }
    return spawn(process.execPath, [MAIN, '--native', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  }
  const services = async (...args: string[]): Promise<Ended> => {
    const child = start(args)
    const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code: child.exitCode!, output, errors }
  }
  atEnd(scope, () => services('down'))
  const stateOf = async (name: string) => {
    const file = join(root, 'running', `${name}.json`)
    return { file, started: JSON.parse(await readFile(file, 'utf8')) }
  }
  return { root, services, start, stateOf }
}

function portIn({ output }: Ended): number {
  return Number(/:(\d+)$/m.exec(output)![1])
}

async function withRedis<T>(port: number, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(port)
  try {
    return await work(client)
  } finally {
    client.disconnect()
  }
}

/** A process that has nothing to do with it. */
function startBystander(scope: Scope): ChildProcess & { pid: number } {
  const child = spawn('sleep', ['600'], { stdio: 'ignore', detached: true })
  atEnd(scope, () => child.kill('SIGKILL'))
  return child as ChildProcess & { pid: number }
}

describe('npm run services', { skip: redisMissing(), concurrency: true }, () => {
  test('F7 up, status and down; data outlives them', async (t) => {
    const { services } = await prepareCommand(t)
    const up = await services('up', 'redis')
    assert.match(up.output, /^export REDIS_URL=redis:\/\/127\.0\.0\.1:\d+\n$/)
    assert.equal((await services('up', 'redis')).output, up.output, 'what is up stays')
    assert.match((await services('status', 'redis')).output, /^redis: up at redis:.* \(process \d+\)\n$/)
    await withRedis(portIn(up), (client) => client.set('kept', 'yes'))

    assert.match((await services('down', 'redis')).errors, /is down; its data is kept/)
    await assert.rejects(redis.answers(portIn(up)))
    assert.equal((await services('status', 'redis')).output, 'redis: down\n')
    const again = await services('up', 'redis')
    assert.equal(await withRedis(portIn(again), (client) => client.get('kept')), 'yes')
  })

  test('F7 down leaves a server alone that something else has started', async (t) => {
    const { services } = await prepareCommand(t)
    const other = await startRedis(t)
    assert.match((await services('down')).errors, /redis: is not up/)
    assert.equal(await other.send('PING'), 'PONG')
  })

  test('F7 a process that has the number of an ended server by now is left alone', async (t) => {
    const { services, stateOf } = await prepareCommand(t)
    await services('up', 'redis')
    const { file, started } = await stateOf('redis')
    process.kill(started.process.pid, 'SIGKILL')
    while (await birthOf(started.process.pid)) await new Promise(setImmediate)

    const bystander = startBystander(t)
    await writeFile(file, JSON.stringify({ ...started, process: { ...started.process, pid: bystander.pid } }))
    assert.match((await services('status', 'redis')).output, /has ended by itself/)
    assert.match((await services('down', 'redis')).errors, /had ended by itself/)
    assert.equal(bystander.exitCode ?? bystander.signalCode, null)
    assert.notEqual(await birthOf(bystander.pid), undefined)
  })

  test('F7 a server that ended by itself is brought up again', async (t) => {
    const { services, stateOf } = await prepareCommand(t)
    await services('up', 'redis')
    const before = (await stateOf('redis')).started.process.pid
    process.kill(before, 'SIGKILL')
    while (await birthOf(before)) await new Promise(setImmediate)
    assert.equal(await redis.answers(portIn(await services('up', 'redis'))), true)
    assert.notEqual((await stateOf('redis')).started.process.pid, before)
  })

  test('F7 a command that was killed leaves no server that nobody knows of', async (t) => {
    const { services, start, stateOf } = await prepareCommand(t)
    // A Redis that takes its time until it is told to go on.
    const path = await createTestDir(t)
    const begin = join(path, 'begin')
    const real = (await promisify(execFile)('sh', ['-c', 'command -v redis-server'])).stdout.trim()
    const slow = `#!/bin/sh\n[ "$1" = --version ] || while [ ! -e '${begin}' ]; do sleep 0.05; done\nexec '${real}' "$@"\n`
    await writeFile(join(path, 'redis-server'), slow, { mode: 0o755 })

    const killed = start(['up', 'redis'], { PATH: `${path}:${process.env.PATH}` })
    const stateIfAny = () => stateOf('redis').catch(() => undefined)
    await until('the server is known', async () => (await stateIfAny()) !== undefined)
    const { started } = await stateOf('redis')
    killed.kill('SIGKILL')
    await once(killed, 'close')
    assert.match((await services('status', 'redis')).output, /there, but does not answer/)

    await writeFile(begin, '')
    assert.equal(portIn(await services('up', 'redis')), started.port)
    assert.deepEqual((await stateOf('redis')).started, started, 'the same one, and no second')
    assert.match((await services('down', 'redis')).errors, /is down/)
    assert.equal(await birthOf(started.process.pid), undefined)
  })

  test('F7 status tells how things are while another command is at work', async (t) => {
    const { root, services } = await prepareCommand(t)
    await withLock(
      root,
      async () => assert.equal((await services('status', 'redis')).output, 'redis: down\n'),
      () => assert.fail('nobody else is at work'),
    )
  })

  test('P15 two that bring the same one up at once share it', { skip: kafkaMissing() }, async (t) => {
    const { services } = await prepareCommand(t)
    const [one, two] = await Promise.all([services('up', 'kafka'), services('up', 'kafka')])
    assert.match(one.output, /^export KAFKA_BOOTSTRAP_SERVERS=127\.0\.0\.1:\d+\n$/)
    assert.equal(two.output, one.output)
  })

  test('F7 an unknown name or command is told, and nothing is started', async (t) => {
    const { services } = await prepareCommand(t)
    for (const args of [['up', 'redsi'], ['upp'], ['status', '--all'], []]) {
      const { code, output, errors } = await services(...args)
      assert.equal(code, 1)
      assert.equal(output, '')
      assert.match(errors, /Usage: npm run services/)
    }
    const help = await services('--help')
    assert.match(help.output, /^Usage: npm run services/)
    assert.equal(help.code, 0)
  })
})
