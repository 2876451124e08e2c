import { kafka } from '../../../scripts/services/kafka.ts'
import type { KafkaOptions } from '../../../scripts/services/kafka-settings.ts'
import { mongo } from '../../../scripts/services/mongo.ts'
import { s3 } from '../../../scripts/services/s3.ts'
import {
  programsDir,
  type RunningService,
  type Service,
  type ServiceName,
  type StartOptions,
} from '../../../scripts/services/service.ts'
import { sqs } from '../../../scripts/services/sqs.ts'
import { services } from '../../../scripts/services/table.ts'
import { atEnd, type Scope } from './scope.ts'
import { createTestDir } from './server.ts'
import type { SharedServices } from './shared-services.ts'

/** Settings of a server of one's own; where it lies is not a test's business. */
type Own<Options extends StartOptions> = Omit<Options, 'cacheDir' | 'dataDir' | 'port' | 'outlives'>

// Why tests that need it are left out, or `false`. In CI there is no leaving out.
export const kafkaMissing = () => missing('kafka')
export const sqsMissing = () => missing('sqs')
export const s3Missing = () => missing('s3')
export const mongoMissing = () => missing('mongo')
export const redisMissing = () => missing('redis')

// The environment that leads to the one server of all test files; each uses topics, queues, buckets of its own. The
// runner starts it when a file to be run has the word in its name: `from-kafka.test.ts`.
export const sharedKafka = () => shared('kafka')
export const sharedSqs = () => shared('sqs')
export const sharedS3 = () => shared('s3')
// A MongoDB of yours instead: TEST_MONGO_URI=mongodb://…
export const sharedMongo = () => {
  const { TEST_MONGO_URI: MONGO_URI } = process.env
  return MONGO_URI ? { MONGO_URI } : shared('mongo')
}

// A server of its own, to be killed, frozen or restarted; gone afterwards.
export const startKafka = (scope: Scope, options?: Own<KafkaOptions>) => startOwn(kafka, scope, options)
export const startSqs = (scope: Scope, options?: Own<StartOptions>) => startOwn(sqs, scope, options)
export const startS3 = (scope: Scope) => startOwn(s3, scope)
export const startMongo = (scope: Scope) => startOwn(mongo, scope)

export async function startOwn<Options extends StartOptions, Running extends RunningService>(
  service: Service<Options, Running>,
  scope: Scope,
  options?: Own<Options>,
): Promise<Running> {
  const cacheDir = programsDir()
  await service.install(cacheDir)
  const dataDir = await createTestDir(scope)
  const server = await service.start({ ...options, cacheDir, dataDir } as Options)
  atEnd(scope, () => server.kill())
  return server
}

function handedOn(name: ServiceName) {
  return (JSON.parse(process.env.TEST_SERVICES ?? '{}') as SharedServices)[name]
}

function missing(name: ServiceName): string | false {
  const given = handedOn(name)
  if (given) return 'missing' in given && given.missing
  const service = services[name]!
  const reason = service.missing(programsDir())
  if (reason && process.env.CI) throw new Error(`CI needs ${service.title}: ${reason}`)
  return reason
}

function shared(name: ServiceName): Record<string, string> {
  const given = handedOn(name)
  if (given && 'env' in given) return given.env
  throw new Error(
    `No shared ${name}: a test file that needs it has "${name}" in its name, and is run by npm test.`,
  )
}
