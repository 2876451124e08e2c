import type { Channel } from '../record.ts'

/** Takes updates from outside by itself, until it is disposed of: then it finishes what it holds and stops. */
export interface Consumer extends AsyncDisposable {
  readonly channel: Extract<Channel, 'kafka' | 'sqs'>
  health(): ConsumerHealth
}

export interface ConsumerHealth {
  /**
   * `running`: it reads, or has nothing to read. `waiting`: what it needs is away, and it tries again by itself.
   * `dead`: it has ended, or has not taken a step for so long that only a restart helps.
   */
  status: 'running' | 'waiting' | 'dead'
  /** Messages that wait, by where: a partition (`progress-updates/3`), or the queue. Empty while nobody knows. */
  lag: { source: string; messages: number }[]
  /** The last thing that went wrong, without secrets; it may be long over. */
  lastError: { at: Date; message: string } | undefined
}

/** What the consumers of a process say of themselves when they are asked. */
export type ConsumerReports = () => readonly { channel: Consumer['channel']; health: ConsumerHealth }[]

/** What became of a message. `too_old`: its id may be forgotten already, so it cannot be counted exactly. */
export type MessageResult = 'applied' | 'duplicate' | 'refused' | 'invalid' | 'too_old'

/** Hears what became of messages, and counts it. */
export type Tally = (channel: Channel, result: MessageResult, messages: number) => void
