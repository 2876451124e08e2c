import { resolve } from 'node:path'
import Type, { type Static, type TSchema } from 'typebox'
import Value from 'typebox/value'
import { PebblesError } from './platform/errors.ts'

const MiB = 1024 * 1024

const text = (description: string, options = {}) => Type.String({ minLength: 1, description, ...options })
const count = (description: string, fallback: number, minimum = 1, maximum = 1e9) =>
  Type.Integer({ description, default: fallback, minimum, maximum })
const flag = (description: string, fallback: boolean) => Type.Boolean({ description, default: fallback })
const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)

/** Every environment variable that Pebbles reads: type, default, meaning. An empty value counts as not set. */
export const ENVIRONMENT = Type.Object({
  HOST: text('Address to listen on.', { default: '127.0.0.1' }),
  PORT: count('Port to listen on; 0 picks a free one.', 8081, 0, 65535),
  PEBBLES_DATA: text('Folder of the embedded defaults: database, objects, development key.', {
    default: '.pebbles',
  }),
  PEBBLES_ROLES: text('Which roles this process has: api, imports, or both, separated by commas.', {
    default: 'api,imports',
  }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'], {
    description: 'Least severe log line that is written.',
    default: 'info',
  }),
  DATABASE_URL: optional(text('A PostgreSQL from 15 on, instead of the embedded one.')),
  DATABASE_POOL: count('Connections for reads and jobs.', 10, 1, 500),
  REDIS_URL: optional(text('A Redis that queues the imports, instead of PostgreSQL.')),
  REDIS_HOST: optional(text('The same, for one without password and TLS: its host.')),
  REDIS_PORT: count('Its port, with REDIS_HOST.', 6379, 1, 65535),
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
  LIVE_VIEWS: count('Live views of files, and as many of jobs, that one process serves.', 1_000),
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
})

type Environment = Static<typeof ENVIRONMENT>
export type Role = 'api' | 'imports'

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
  const need = (name: keyof Environment) => {
    if (values[name] === undefined) faults.push({ field: name, message: `is needed with AUTH=${auth}` })
  }
  if (auth === 'google') need('GOOGLE_CLIENT_ID')
  if (auth === 'oidc') {
    need('OIDC_ISSUER')
    need('OIDC_AUDIENCE')
  }
  if (auth === 'dev' && !LOOPBACK.has(values.HOST) && !values.DEV_TOKENS_EVERYWHERE) {
    faults.push({
      field: 'AUTH',
      message: `development tokens are for loopback only, and HOST is ${values.HOST}: set GOOGLE_CLIENT_ID or OIDC_ISSUER, or DEV_TOKENS_EVERYWHERE=true`,
    })
  }
  const roles = new Set<Role>()
  for (const role of PEBBLES_ROLES.split(',').map((part) => part.trim())) {
    if (role === 'api' || role === 'imports') roles.add(role)
    else faults.push({ field: 'PEBBLES_ROLES', message: `there is no role "${role}"` })
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
  if (faults.length > 0) throw misconfigured(faults)
  return { ...rest, auth, roles, redisUrl, dataDir: resolve(PEBBLES_DATA) }
}

/** An IPv6 address stands in brackets in a URL. */
const hostInUrl = (host: string) => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host)

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
