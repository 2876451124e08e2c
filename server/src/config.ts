import { resolve } from 'node:path'
import Type, { type Static, type TSchema } from 'typebox'
import Value from 'typebox/value'
import { PebblesError } from './platform/errors.ts'
import { isObjectName } from './platform/objects/objects.ts'

const MiB = 1024 * 1024
const MINUTE_MS = 60_000

const text = (description: string, options = {}) => Type.String({ minLength: 1, description, ...options })
const count = (description: string, fallback: number, minimum = 1, maximum = 1e9) =>
  Type.Integer({ description, default: fallback, minimum, maximum })
const flag = (description: string, fallback: boolean) => Type.Boolean({ description, default: fallback })
/** As brokers take them; of one the name with .dlq as well. */
const topic = (description: string, fallback: string) =>
  text(description, { default: fallback, pattern: '^[A-Za-z0-9._-]{1,245}$' })
const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)

/** Every environment variable that Pebbles reads: type, default, meaning. An empty value counts as not set. */
export const ENVIRONMENT = Type.Object({
  HOST: text('Address to listen on.', { default: '127.0.0.1' }),
  PORT: count('Port to listen on; 0 picks a free one.', 8081, 0, 65535),
  PEBBLES_DATA: text('Folder of the embedded defaults: database, objects, development key.', {
    default: '.pebbles',
  }),
  PEBBLES_ROLES: text(
    'Which roles this process has, separated by commas: api, imports, consumers, streams.',
    {
      default: 'api,imports,consumers,streams',
    },
  ),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'], {
    description: 'Least severe log line that is written.',
    default: 'info',
  }),
  DATABASE_URL: optional(text('A PostgreSQL from 15 on, instead of the embedded one.')),
  DATABASE_POOL: count('Connections for reads and jobs.', 10, 1, 500),
  REDIS_URL: optional(text('A Redis that queues the imports, instead of PostgreSQL.')),
  REDIS_HOST: optional(text('The same, for one without password and TLS: its host.')),
  REDIS_PORT: count('Its port, with REDIS_HOST.', 6379, 1, 65535),
  MONGO_URI: optional(text('A MongoDB that keeps the records, instead of PostgreSQL.')),
  KAFKA_ENABLED: flag('Takes updates from a Kafka topic.', false),
  KAFKA_BOOTSTRAP_SERVERS: optional(text('Its brokers: host:port, separated by commas.')),
  KAFKA_TOPIC_NAME: topic(
    'The topic; what is not valid goes to the topic of this name with .dlq.',
    'progress-updates',
  ),
  KAFKA_GROUP_ID: text('Consumer group; all processes of one share the partitions.', {
    default: 'pebbles-consumer',
  }),
  KAFKA_TLS: flag('Speaks TLS to the brokers.', false),
  KAFKA_TLS_CA: optional(text('File with the certificate authorities to trust, with KAFKA_TLS (PEM).')),
  KAFKA_SASL_MECHANISM: optional(
    Type.Enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'], { description: 'How to sign in to the brokers.' }),
  ),
  KAFKA_SASL_USERNAME: optional(text('User, with KAFKA_SASL_MECHANISM.')),
  KAFKA_SASL_PASSWORD: optional(text('Password, with KAFKA_SASL_MECHANISM.')),
  SQS_ENABLED: flag('Takes updates from an SQS queue.', false),
  SQS_QUEUE_URL: optional(text('The queue.')),
  SQS_DLQ_URL: optional(text('Queue for what is not valid; without one the redrive policy decides.')),
  SQS_ENDPOINT: optional(text('Address of the service, when it is not that of AWS.')),
  SQS_RECEIVERS: count('Receivers of ten messages each that one process has at most.', 8, 1, 100),
  S3_BUCKET: optional(text('A bucket that keeps files, instead of a folder.')),
  S3_ENDPOINT: optional(text('Address of the service, when it is not that of AWS.')),
  S3_PREFIX: optional(text('Folder in the bucket, of this database alone. Default: the id of the database.')),
  AWS_REGION: text('Region of the queue, the bucket and CloudWatch.', { default: 'us-east-1' }),
  CLOUDWATCH_ENABLED: flag('Sends metrics of page views to CloudWatch.', false),
  CLOUDWATCH_NAMESPACE: text('Namespace of these metrics.', { default: 'PageviewPipeline' }),
  CLOUDWATCH_ENDPOINT: optional(text('Address of the service, when it is not that of AWS.')),
  AUTH: optional(
    Type.Enum(['google', 'oidc', 'dev'], {
      description: 'Whose tokens count. Default: google when GOOGLE_CLIENT_ID is set, else dev.',
    }),
  ),
  GOOGLE_CLIENT_ID: optional(text('Audience of the Google tokens that are accepted.')),
  OIDC_ISSUER: optional(text('Issuer of the tokens, with AUTH=oidc.')),
  OIDC_AUDIENCE: optional(text('Audience of the tokens, with AUTH=oidc.')),
  JWT_CLIENT_CLAIM: text('Claim that names the client of a token.', { default: 'client' }),
  DEV_TOKENS_EVERYWHERE: flag('Lets AUTH=dev run on an address that others can reach.', false),
  PUBLIC_READ: flag('Progress can be read without a token.', true),
  CORS_ORIGIN: optional(text('Origin that browsers may call from; * for any.')),
  RATE_LIMIT: count('Updates and reads per client and minute; 0 switches the limit off.', 600_000, 0),
  LIVE_VIEWS: count(
    'Live views of files, as many of jobs and as many of windows, that one process serves.',
    1_000,
  ),
  LIVE_VIEWS_PER_ADDRESS: count(
    'Of these, live views of one address; 0 for no limit, such as behind a balancer.',
    100,
    0,
  ),
  LEDGER_LANES: count('Batches of updates written at the same time.', 2, 1, 16),
  LEDGER_MAX_PENDING: count('Updates that may wait to be written; more are answered 503.', 20_000),
  LEDGER_MAX_PENDING_BYTES: count('Bytes of updates that may wait to be written.', 64 * MiB, MiB),
  MAX_UPLOAD_BYTES: count('Largest file that is taken in.', 5 * 1024 * MiB, 1, Number.MAX_SAFE_INTEGER),
  IMPORT_CONCURRENCY: count('Files that one process imports at a time.', 1, 1, 64),
  IMPORT_BATCH_ROWS: count('Rows of a file that are committed together.', 20_000, 1, 100_000),
  STREAM_LOG: Type.Enum(['postgres', 'kafka'], {
    description: 'Where the event log is; kafka needs KAFKA_BOOTSTRAP_SERVERS. Fixed by the first events.',
    default: 'postgres',
  }),
  STREAM_TOPIC: topic('Topic of the event log, with STREAM_LOG=kafka; made when there is none.', 'pageviews'),
  STREAM_PARTITIONS: count('Partitions of the event log; fixed by the first start on a database.', 8, 1, 256),
  STREAM_GRACE_MS: count('How late a page view may come and still count.', MINUTE_MS, 0, 24 * 60 * MINUTE_MS),
  STREAM_IDLE_MS: count('A stream without events for so long is moved on by the clock.', 10_000, 100),
  LATE_POLICY: Type.Enum(['keep', 'revise'], {
    description: 'What becomes of late events: kept beside their window, or also added to it.',
    default: 'keep',
  }),
  STREAM_MAX_OPEN_BYTES: count(
    'What keys of open windows may take in the memory of one process, about; beyond it they wait in the database.',
    128 * MiB,
    1_024,
  ),
  STREAM_RETENTION_DAYS: count('Days for which events stay in the log.', 7, 1, 3_650),
  STREAM_AGGREGATES_TOPIC: topic(
    'Topic for windows of page views that closed, with STREAM_LOG=kafka.',
    'pageview-aggregates',
  ),
  STREAM_LATE_TOPIC: topic(
    'Topic for page views that came too late for their window, with STREAM_LOG=kafka.',
    'pageview-late',
  ),
  STREAM_MAX_PENDING: count('Events that may wait to be written; more are answered 503.', 100_000),
  STREAM_MAX_PENDING_BYTES: count('Bytes of events that may wait to be written.', 64 * MiB, MiB),
  ARCHIVE_FORMAT: Type.Enum(['ndjson', 'parquet', 'off'], {
    description: 'How events, aggregates and late events are archived, if at all.',
    default: 'ndjson',
  }),
  ARCHIVE_MAX_EVENTS: count('Most rows of an archived object.', 250_000, 1, 10_000_000),
  ARCHIVE_MAX_BYTES: count('Its size, before it is compressed.', 32 * MiB, 1_024),
  ARCHIVE_MAX_AGE_MS: count('So long its first row waits for others.', 30_000, 100),
  ARCHIVE_MAX_PENDING_BYTES: count(
    'Bytes that wait to be archived in one process, before they are compressed.',
    128 * MiB,
    MiB,
  ),
})

type Environment = Static<typeof ENVIRONMENT>
const ROLES = ['api', 'imports', 'consumers', 'streams'] as const
export type Role = (typeof ROLES)[number]

type Derived = 'AUTH' | 'PEBBLES_DATA' | 'PEBBLES_ROLES' | 'REDIS_URL' | 'REDIS_HOST' | 'REDIS_PORT'

export interface Config extends Omit<Environment, Derived> {
  auth: 'google' | 'oidc' | 'dev'
  /** Absolute path of `PEBBLES_DATA`. */
  dataDir: string
  roles: ReadonlySet<Role>
  /** The queue is there when set; it may hold a password. */
  redisUrl: string | undefined
}

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '::1'])

/**
 * Reads the configuration from environment variables.
 *
 * @throws PebblesError `misconfigured` whose faults name every variable that is wrong, all at once.
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  const given: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(ENVIRONMENT.properties)) {
    const value = env[name]
    if (value !== undefined && value.trim() !== '') given[name] = fromText(value.trim(), schema)
  }
  const values = Value.Default(ENVIRONMENT, given) as Environment
  const faults = Value.Errors(ENVIRONMENT, values).map((error) => ({
    field: error.instancePath.slice(1),
    message:
      error.keyword === 'enum' ? `must be one of ${error.params.allowedValues.join(', ')}` : error.message,
  }))

  const { AUTH, PEBBLES_DATA, PEBBLES_ROLES, REDIS_URL, REDIS_HOST, REDIS_PORT, ...rest } = values
  const auth = AUTH ?? (values.GOOGLE_CLIENT_ID ? 'google' : 'dev')
  const needs = (condition: string, ...names: (keyof Environment)[]) => {
    for (const field of names) {
      if (values[field] === undefined) faults.push({ field, message: `is needed with ${condition}` })
    }
  }
  if (auth === 'google') needs('AUTH=google', 'GOOGLE_CLIENT_ID')
  if (auth === 'oidc') needs('AUTH=oidc', 'OIDC_ISSUER', 'OIDC_AUDIENCE')
  if (values.KAFKA_ENABLED) needs('KAFKA_ENABLED=true', 'KAFKA_BOOTSTRAP_SERVERS')
  if (values.STREAM_LOG === 'kafka') needs('STREAM_LOG=kafka', 'KAFKA_BOOTSTRAP_SERVERS')
  if (values.SQS_ENABLED) needs('SQS_ENABLED=true', 'SQS_QUEUE_URL')
  for (const field of ['SQS_QUEUE_URL', 'SQS_DLQ_URL', 'SQS_ENDPOINT', 'CLOUDWATCH_ENDPOINT'] as const) {
    const value = values[field]
    if (value !== undefined && !isHttpUrl(value))
      faults.push({ field, message: 'must be an http or https URL' })
  }
  if (values.KAFKA_SASL_MECHANISM) needs('KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD')
  // Half a protection would be none, and nobody would be told.
  for (const field of ['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const) {
    if (values[field] !== undefined) needs(field, 'KAFKA_SASL_MECHANISM')
  }
  if (values.KAFKA_TLS_CA !== undefined && !values.KAFKA_TLS) {
    faults.push({ field: 'KAFKA_TLS', message: 'must be true with KAFKA_TLS_CA' })
  }
  faults.push(...sharedTopics(values))
  if (values.S3_ENDPOINT !== undefined && !/^https?:$/.test(URL.parse(values.S3_ENDPOINT)?.protocol ?? '')) {
    faults.push({ field: 'S3_ENDPOINT', message: 'must be as in https://s3.example.com' })
  }
  if (values.S3_PREFIX !== undefined && !isObjectName(values.S3_PREFIX)) {
    faults.push({
      field: 'S3_PREFIX',
      message: 'must be letters, digits, "-", "_", "." and "=" between slashes',
    })
  }
  for (const field of ['S3_ENDPOINT', 'S3_PREFIX'] as const) {
    if (values[field] !== undefined) needs(field, 'S3_BUCKET')
  }
  const dataDir = resolve(PEBBLES_DATA)
  // Node tries to make folders there without end.
  if (/^\/proc(\/|$)/.test(dataDir)) faults.push({ field: 'PEBBLES_DATA', message: 'must not lie in /proc' })
  const roles = new Set<Role>()
  for (const role of PEBBLES_ROLES.split(',').map((part) => part.trim())) {
    const known = ROLES.find((name) => name === role)
    if (known) roles.add(known)
    else faults.push({ field: 'PEBBLES_ROLES', message: `there is no role "${role}"` })
  }
  if (roles.has('api') && auth === 'dev' && !LOOPBACK.has(values.HOST) && !values.DEV_TOKENS_EVERYWHERE) {
    faults.push({
      field: 'AUTH',
      message: `development tokens are for loopback only, and HOST is ${values.HOST}: set GOOGLE_CLIENT_ID or OIDC_ISSUER, or DEV_TOKENS_EVERYWHERE=true`,
    })
  }
  if (REDIS_URL !== undefined && REDIS_HOST !== undefined) {
    faults.push({ field: 'REDIS_URL', message: 'and REDIS_HOST are both set: leave one of them out' })
  }
  const redisUrl = REDIS_URL ?? (REDIS_HOST && `redis://${hostInUrl(REDIS_HOST)}:${REDIS_PORT}`)
  if (redisUrl !== undefined && !isRedisUrl(redisUrl)) {
    const field = REDIS_URL === undefined ? 'REDIS_HOST' : 'REDIS_URL'
    // The value may hold a password, so it is not repeated.
    faults.push({ field, message: 'must be as in redis://user:password@host:6379/0, or rediss:// for TLS' })
  }
  if (values.MONGO_URI !== undefined) {
    if (!MONGO_ADDRESS.test(values.MONGO_URI)) {
      faults.push({
        field: 'MONGO_URI',
        message: 'must be as in mongodb://user:password@host:27017/database',
      })
    }
  }
  if (faults.length > 0) throw misconfigured(faults)
  return { ...rest, auth, roles, redisUrl, dataDir }
}

/** What one part of Pebbles writes to a topic, another would read: late events would come in again, without end. */
function sharedTopics(values: Environment) {
  const used = [
    ...(values.KAFKA_ENABLED ? (['KAFKA_TOPIC_NAME'] as const) : []),
    ...(values.STREAM_LOG === 'kafka'
      ? (['STREAM_TOPIC', 'STREAM_AGGREGATES_TOPIC', 'STREAM_LATE_TOPIC'] as const)
      : []),
  ]
  return used.flatMap((field, place) => {
    const other = used.slice(0, place).find((name) => values[name] === values[field])
    return other === undefined ? [] : [{ field, message: `is the same topic as ${other}` }]
  })
}

/** One or several hosts, and a database: the driver would take one of its own choice. */
const MONGO_ADDRESS = /^mongodb(\+srv)?:\/\/[^/?#]+\/[^/?#]+/

/** An IPv6 address stands in brackets in a URL. */
const hostInUrl = (host: string) => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host)

const isHttpUrl = (text: string) => /^https?:$/.test(URL.parse(text)?.protocol ?? '')

function isRedisUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== ''
}

/** Only the plain spellings of a number or a flag; anything else stays text, which the schema then refuses. */
function fromText(value: string, schema: TSchema): unknown {
  if (Type.IsInteger(schema)) return /^\d{1,16}$/.test(value) ? Number(value) : value
  if (Type.IsBoolean(schema)) return value === 'true' ? true : value === 'false' ? false : value
  return value
}

function misconfigured(faults: { field: string; message: string }[]): PebblesError {
  const list = faults.map(({ field, message }) => `  ${field}: ${message}`).join('\n')
  return new PebblesError('misconfigured', `The configuration is not valid:\n${list}`, { faults })
}
