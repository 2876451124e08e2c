import { awsFault } from '../../platform/aws-fault.ts'
import { type FieldFault, PebblesError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { createRepeats } from '../../platform/repeats.ts'
import type { DeadLetters } from '../../platform/sqs/dead-letter.ts'
import type { QueueMessage, SqsQueue } from '../../platform/sqs/queue.ts'
import { type Patience, readQueue, type Verdict } from '../../platform/sqs/reader.ts'
import { pause } from '../../platform/sqs/remover.ts'
import { toUpdate } from '../http/schema.ts'
import type { Ledger } from '../ledger.ts'
import { resultOf } from '../outcome.ts'
import type { Outcome } from '../store.ts'
import type { Consumer, ConsumerHealth, MessageResult, Tally } from './consumer.ts'
import { type Message, messageId, readMessage } from './message.ts'

export interface SqsConsumerOptions {
  queue: SqsQueue
  /** Where messages go that are not valid; without one they are left to the queue's redrive policy. */
  deadLetters: DeadLetters | undefined
  ledger: Pick<Ledger, 'submit'>
  /** Days for which ids of messages are remembered, at least. */
  keptDays: number
  maxReceivers: number
  tally: Tally
  log: Log
  /** Messages that cannot be written are kept hidden for so long before they are given back. Default: 10 minutes. */
  maxHoldMs?: number
  /** When all that is written fails for so long through a fault of ours, only a restart helps. Default: a minute. */
  stuckMs?: number
}

const DAY_MS = 86_400_000
const MAX_HOLD_MS = 600_000
const MAX_PAUSE_MS = 2_000
/** The same after a fault of ours, which comes for each message by itself, and is not soon over. */
const MAX_FAULT_PAUSE_MS = 15_000
const STUCK_MS = 60_000
const DEAD_LETTER_TRIES = 4
/** Every wait is shorter: a request to SQS, a batch of the ledger with its tries. */
const DEAD_AFTER_MS = 180_000
const REMEMBERED_LEFT = 10_000

/**
 * Takes updates from an SQS queue. An update commits together with its id, and its message is removed afterwards; so
 * a message that is delivered again, here or to another process, is found to be a duplicate, and removed.
 */
export function createSqsConsumer(options: SqsConsumerOptions): Consumer {
  const { queue, deadLetters, ledger, keptDays, maxReceivers, tally } = options
  const { maxHoldMs = MAX_HOLD_MS, stuckMs = STUCK_MS } = options
  const log = options.log.child({ channel: 'sqs', queue: queue.name })
  const left = createMemory(REMEMBERED_LEFT)
  /** Why nothing can be written at the moment. */
  let databaseFault: ConsumerHealth['lastError']
  /** Messages in hand that have met a fault of ours, and since when nothing was written for it. */
  const faulty = new Set<QueueMessage>()
  let faultSinceMs: number | undefined
  const repeats = createRepeats()
  let lastFault: ConsumerHealth['lastError']
  let lastTryMs = 0

  async function decide(received: QueueMessage, patience: Patience): Promise<Verdict> {
    try {
      const read = readMessage(Buffer.from(received.body))
      if ('faults' in read) return await setAside(received, 'invalid', reasonOf(read.faults), patience)
      if (Date.now() - firstSentMs(received, read.message) > keptDays * DAY_MS) {
        const reason = `too_old: sent more than ${keptDays} days ago, its id may be forgotten`
        return await setAside(received, 'too_old', reason, patience)
      }
      return await write(received, read.message, patience)
    } catch (err) {
      fail(err, 'a message of SQS could not be processed, and is left in the queue', received)
      return 'return'
    } finally {
      if (faulty.delete(received) && faulty.size === 0) faultSinceMs = undefined
    }
  }

  /**
   * Tries for as long as there is patience: the database may be away, or the ledger full. After a fault of ours as well:
   * given back at once, all messages would soon have been received as often as their redrive policy allows.
   */
  async function write(received: QueueMessage, message: Message, patience: Patience): Promise<Verdict> {
    const { signal, untilMs } = patience
    const id =
      message.id === undefined ? messageId(message, received.id, 'sqs') : messageId(message, message.id)
    const { clientKrn, email } = message
    const update = toUpdate(message, { clientKrn, email, channel: 'sqs', id })
    for (let tries = 0; !signal.aborted && Date.now() < untilMs; tries++) {
      lastTryMs = Date.now()
      try {
        const outcome = await ledger.submit(update)
        if (databaseFault || faultSinceMs) log.info('updates of SQS are written again')
        if (faultSinceMs) repeats.end('unwritten')
        databaseFault = faultSinceMs = undefined
        faulty.clear()
        settle(received, update.recordId, outcome)
        return 'remove'
      } catch (error) {
        noteUnwritten(error as Error, received)
      }
      const maxPauseMs = faultSinceMs === undefined ? MAX_PAUSE_MS : MAX_FAULT_PAUSE_MS
      await pause(Math.min(maxPauseMs, 50 * 2 ** tries), signal)
    }
    return 'return'
  }

  function settle(received: QueueMessage, recordId: string, outcome: Outcome): void {
    const result = resultOf(outcome)
    tally('sqs', result, 1)
    if (result === 'refused')
      log.warn({ messageId: received.id, recordId, result: outcome.result }, 'an update of SQS was refused')
  }

  /** Sent before it is removed: when we die in between it may be there twice, but never not at all. */
  async function setAside(
    received: QueueMessage,
    result: MessageResult,
    reason: string,
    { signal }: Patience,
  ): Promise<Verdict> {
    const facts = { reason, sourceQueue: queue.name, messageId: received.id }
    if (deadLetters === undefined) {
      if (left.add(received.id)) {
        tally('sqs', result, 1)
        log.warn(facts, 'a message of SQS cannot be used, and is left to the redrive policy of its queue')
      }
      return 'leave'
    }
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        await deadLetters.put(received, facts)
        tally('sqs', result, 1)
        log.warn(facts, 'a message of SQS cannot be used, and was moved to SQS_DLQ_URL')
        return 'remove'
      } catch (error) {
        if (tries === DEAD_LETTER_TRIES) {
          fail(
            awsFault(error),
            'a message of SQS cannot be used, nor be moved: it is left where it is',
            received,
          )
          return 'leave'
        }
      }
      await pause(100 * 4 ** tries, signal)
    }
    return 'return'
  }

  function noteUnwritten(error: Error, received: QueueMessage): void {
    if (!(error instanceof PebblesError && error.retryable)) {
      faultSinceMs ??= Date.now()
      faulty.add(received)
      databaseFault = undefined
      repeats.tell('unwritten', () =>
        log.error(
          { err: error, messageId: received.id },
          'updates of SQS cannot be written, and nothing is away',
        ),
      )
      lastFault = { at: new Date(), message: error.message }
    } else if (error.code === 'unavailable') {
      if (!databaseFault) log.warn({ err: error }, 'updates of SQS cannot be written; tried again')
      faultSinceMs = undefined
      databaseFault = lastFault = { at: new Date(), message: error.message }
    }
  }

  function fail(err: unknown, message: string, { id }: QueueMessage): void {
    repeats.tell(message, () => log.error({ err, messageId: id }, message))
    lastFault = { at: new Date(), message }
  }

  const reader = readQueue({
    queue,
    maxReceivers,
    decide,
    mayReceive: () => databaseFault === undefined,
    maxHoldMs,
    log: (message, err) => log.warn({ err }, message),
  })

  return {
    channel: 'sqs',
    health() {
      const now = Date.now()
      const isAtFault = faultSinceMs !== undefined
      const isStuck = now - Math.max(reader.lastStepMs, lastTryMs) > DEAD_AFTER_MS
      const isDead = isStuck || now - (faultSinceMs ?? now) > stuckMs
      const { waiting } = reader
      return {
        status: isDead ? 'dead' : reader.isAway || databaseFault || isAtFault ? 'waiting' : 'running',
        lag: waiting === undefined ? [] : [{ source: queue.name, messages: waiting }],
        lastError: newer(reader.lastError, lastFault),
      }
    },
    [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
  }
}

/** A redrive gives a message a new time of its queue, but not a new `sentAt`; nor can that be later than the queue's. */
function firstSentMs({ sentAtMs }: QueueMessage, { sentAt }: Message): number {
  const toldMs = sentAt === undefined ? Number.NaN : Date.parse(sentAt)
  return Number.isNaN(toldMs) ? sentAtMs : Math.min(sentAtMs, toldMs)
}

const reasonOf = (faults: FieldFault[]): string =>
  faults.map(({ field, message }) => `${field}: ${message}`).join('; ')

const newer = (a: ConsumerHealth['lastError'], b: ConsumerHealth['lastError']) =>
  a && b ? (a.at > b.at ? a : b) : (a ?? b)

/** What was seen before, of the newest so many. */
function createMemory(size: number): { add(key: string): boolean } {
  const keys = new Set<string>()
  return {
    add(key) {
      const isNew = !keys.delete(key)
      keys.add(key)
      if (keys.size > size) keys.delete(keys.values().next().value!)
      return isNew
    },
  }
}
