/**
 * `npm run services -- up|down|status [name …]`: real servers for development, kept in a folder outside the checkout
 * ($PEBBLES_SERVICES, by default below the user's cache). `up` prints what Pebbles needs as shell lines, and nothing
 * else, on the standard output: eval "$(npm run services --silent -- up kafka)"
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { dockerEngine, dockerIsHere } from './docker.ts'
import type { Engine } from './engine.ts'
import { nativeEngine } from './native.ts'
import { SERVICE_NAMES, type Service, type ServiceName, servicesDir } from './service.ts'
import { forgetStarted, readStarted, type Started, withLock, writeStarted } from './state.ts'
import { services } from './table.ts'

const USAGE = `Usage: npm run services -- up|down|status [${SERVICE_NAMES.join('] [')}]
  --native  with processes of this machine, also where there is a Docker engine
  --help    tells this`

const ANSWER_TIMEOUT_MS = 20_000

const root = servicesDir()
const native = nativeEngine(root)
const COMMANDS: Record<string, (service: Service, useDocker: boolean) => Promise<void>> = { up, down, status }

try {
  const { values, positionals } = readArguments()
  const [command, ...names] = positionals
  if (values.help) console.log(USAGE)
  else await run(command, names, values.native === true)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

function readArguments() {
  try {
    return parseArgs({
      options: { native: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`)
  }
}

async function run(command: string | undefined, names: string[], isNative: boolean): Promise<void> {
  const work = COMMANDS[command ?? '']
  if (work === undefined)
    throw new Error(command === undefined ? USAGE : `No such command: ${command}\n${USAGE}`)
  const asked = names.length > 0 ? names.map(serviceOf) : Object.values(services)
  const useDocker = command === 'up' && !isNative && dockerIsHere()
  const workOnAll = async () => {
    for (const service of asked) {
      await work(service, useDocker).catch((error: Error) => {
        // The others are none the worse for it.
        tell(service, error.message)
        process.exitCode = 1
      })
    }
  }
  // Looking changes nothing, and may be wanted while another command takes long.
  if (work === status) await workOnAll()
  else await withLock(root, workOnAll, () => console.error('Another command is at work; waiting for it …'))
}

function serviceOf(name: string): Service {
  const service = services[name as ServiceName]
  if (service === undefined) throw new Error(`No such service: ${name}\n${USAGE}`)
  return service
}

async function up(service: Service, useDocker: boolean): Promise<void> {
  const { name } = service
  let started = await readStarted(root, name)
  if (started === undefined || !(await engineOf(started).isThere(name, started))) {
    tell(service, useDocker ? 'starting a container …' : `starting ${service.title} …`)
    const begun = (one: Started) => writeStarted(root, name, one)
    started = await (useDocker ? dockerEngine : native).start(service, begun)
  } else await waitForAnswer(service, started)
  const { url, env } = service.at(started.port)
  tell(service, `is up at ${url}`)
  for (const [variable, value] of Object.entries(env)) console.log(`export ${variable}=${value}`)
}

/** Of one that is there: a command that was killed may have left it while it was starting. */
async function waitForAnswer(service: Service, started: Started): Promise<void> {
  for (const deadline = Date.now() + ANSWER_TIMEOUT_MS; Date.now() < deadline; await delay(100))
    if (await service.answers(started.port).catch(() => false)) return
  throw new Error(await describe(service, started))
}

async function down(service: Service): Promise<void> {
  const { name } = service
  const started = await readStarted(root, name)
  if (started === undefined) return tell(service, 'is not up; nothing was started from here')
  const wasThere = await engineOf(started).isThere(name, started)
  await engineOf(started).stop(name, started)
  await forgetStarted(root, name)
  tell(service, wasThere ? 'is down; its data is kept' : 'had ended by itself')
}

async function status(service: Service): Promise<void> {
  const { name } = service
  const started = await readStarted(root, name)
  console.log(`${name}: ${started === undefined ? 'down' : await describe(service, started)}`)
}

async function describe(service: Service, started: Started): Promise<string> {
  const engine = engineOf(started)
  const logs = engine.whereItLogs(service.name)
  if (!(await engine.isThere(service.name, started))) return `has ended by itself (${logs})`
  const { url } = service.at(started.port)
  const as = started.process ? `process ${started.process.pid}` : 'container'
  if (await service.answers(started.port).catch(() => false)) return `up at ${url} (${as})`
  return `there, but does not answer at ${url} (${as}, ${logs})`
}

function engineOf(started: Started): Engine {
  return started.process ? native : dockerEngine
}

function tell(service: Service, message: string): void {
  console.error(`${service.name}: ${message}`)
}
