import type { Service, ServiceName } from './service.ts'
import type { Started } from './state.ts'

/** What servers of `up` run on: the machine itself, or Docker. */
export interface Engine {
  /**
   * Brings what is missing, starts it so that it goes on by itself, and waits until it answers.
   *
   * @param begun  is told of it before it answers: should this process be killed meanwhile, somebody knows of the server
   */
  start(service: Service, begun: (started: Started) => Promise<void>): Promise<Started>
  /** Ends what was started, and nothing else that may have its place by now. Its data stays. */
  stop(name: ServiceName, started: Started): Promise<void>
  isThere(name: ServiceName, started: Started): Promise<boolean>
  /** Told to whoever wants to read what the server says. */
  whereItLogs(name: ServiceName): string
}
