import { rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { programsDir, type Service, type ServiceName } from '../../../scripts/services/service.ts'
import { services } from '../../../scripts/services/table.ts'
import { makeFolder } from './folder.ts'

/** Those that test files share; a Redis starts at once, so each test has its own. */
const SHARED: ServiceName[] = ['kafka', 'sqs', 's3', 'mongo']

/** What the runner hands on to the test files in TEST_SERVICES, as JSON: an address, or why there is none. */
export type SharedServices = Partial<
  Record<ServiceName, { env: Record<string, string> } | { missing: string }>
>

/**
 * Starts one server of each kind that `files` need, which their names tell: `from-kafka.test.ts` needs Kafka.
 * What cannot be installed or started here is told, and its tests are left out; in CI it is a failure.
 *
 * @returns the environment for the test files
 */
export async function startSharedServices(
  files: string[],
  opened: AsyncDisposableStack,
): Promise<Record<string, string>> {
  const words = new Set(files.flatMap((file) => basename(file).split(/[^a-z0-9]+/)))
  const needed = SHARED.flatMap((name) => (words.has(name) ? (services[name] ?? []) : []))
  const results = await Promise.allSettled(needed.map((service) => start(service, opened)))
  const shared: SharedServices = {}
  for (const [index, result] of results.entries()) {
    const { name, title } = needed[index]!
    if (result.status === 'fulfilled') {
      shared[name] = { env: result.value }
      continue
    }
    if (process.env.CI) throw new Error(`CI needs ${title}`, { cause: result.reason })
    const missing = `${title} cannot be had here: ${(result.reason as Error).message}`
    console.error(`Left out, all that needs it: ${missing}`)
    shared[name] = { missing }
  }
  return { TEST_SERVICES: JSON.stringify(shared) }
}

async function start(service: Service, opened: AsyncDisposableStack): Promise<Record<string, string>> {
  const cacheDir = programsDir()
  const missing = service.missing(cacheDir)
  if (missing) throw new Error(missing)
  await service.install(cacheDir)
  const dataDir = await makeFolder(`${service.name}-`)
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  return opened.use(await service.start({ cacheDir, dataDir })).env
}
