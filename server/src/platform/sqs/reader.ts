import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { awsFault } from '../aws-fault.ts'
import { createRepeats } from '../repeats.ts'
import { createHold, type HeldMessage } from './hold.ts'
import { MAX_BATCH, type QueueMessage, type SqsQueue } from './queue.ts'
import { createRemover, pause } from './remover.ts'

/**
 * What is to be done with a message. `remove`: it is settled. `leave`: it is none of ours, and the queue may go on
 * with what comes after it. `return`: not now; nothing of its group may overtake it.
 */
export type Verdict = 'remove' | 'leave' | 'return'

/** For how long a message may be waited for. What is not begun then is returned. */
export interface Patience {
  /** Aborted when the reader stops. */
  signal: AbortSignal
  untilMs: number
}

export interface QueueReaderOptions {
  queue: SqsQueue
  /** Receives of ten messages each that may be under way at the same time. */
  maxReceivers: number
  /** Decides on one message; rejects never. */
  decide: (message: QueueMessage, patience: Patience) => Promise<Verdict>
  /** Whether more may be received while something is in hand. */
  mayReceive: () => boolean
  /** A message in hand is decided on, or returned, within this time. */
  maxHoldMs: number
  log: (message: string, error: Error) => void
}

export interface QueueReader extends AsyncDisposable {
  /** The queue cannot be reached. */
  readonly isAway: boolean
  readonly lastError: { at: Date; message: string } | undefined
  /** When something last went on: an answer, or a failure that is followed by another try. */
  readonly lastStepMs: number
  /** Messages in the queue, as it said last. */
  readonly waiting: number | undefined
}

/** Per receiver, so that the ledger finds enough to write at once. */
const IN_HAND = 100
/** A receive may bring ten messages of a mebibyte on top of it. */
const MAX_BYTES_IN_HAND = 32 * 1024 * 1024
const LOOK_EVERY_MS = 15_000
const MAX_PAUSE_MS = 5_000
const ROOM_MS = 20
/** What is left or returned comes back no sooner, or a queue with a short time-out would turn in circles. */
const BACK_IN_SECONDS = 5
/**
 * A poll that is left may all the same be given the next messages, which then stay hidden. So long ones are for a queue
 * without any; the others end soon, and are waited for when stopping.
 */
const IDLE_POLL_SECONDS = 20
const POLL_SECONDS = 1
const LEAVE_POLLS_MS = 2_000
/** When stopping, what is being written has this long to end, then the queue this long to hear of it. */
const FINISH_MS = 4_000
const GIVE_BACK_MS = 2_000

/**
 * Reads a queue: receives, holds, has decided, removes. It begins with one receiver, which gets company for as long as
 * receives come back full, and loses it when they come back empty.
 *
 * Of a FIFO queue, what a receive brings of one group is decided on one by one in its order; SQS gives no more of that
 * group meanwhile. Should the time-out run out and somebody else receive them too, he begins with the oldest that was
 * not removed, and nothing is removed before it is committed: so the order holds without our agreeing with him.
 */
export function readQueue(options: QueueReaderOptions): QueueReader {
  const { queue, maxReceivers, decide, mayReceive, maxHoldMs, log } = options
  /** Nothing more is begun. */
  const stopping = new AbortController()
  /** No answer to a receive is waited for any more. */
  const left = new AbortController()
  /** Nothing is waited for any more. */
  const ending = new AbortController()
  const hold = createHold({ queue, signal: ending.signal, onError: (error) => note('held', error) })
  const remover = createRemover({ queue, signal: ending.signal, onError: (error) => note('removed', error) })
  const receivers = new Set<Promise<void>>()
  const runs = new Set<Promise<void>>()
  let isAway = false
  let lastError: QueueReader['lastError']
  const repeats = createRepeats()
  let lastStepMs = Date.now()
  let waiting: number | undefined

  function note(what: string, error: unknown): void {
    lastStepMs = Date.now()
    const fault = awsFault(error)
    repeats.tell(fault.message, () => log(`messages of SQS cannot be ${what}; tried again`, fault))
    lastError = { at: new Date(), message: fault.message }
  }

  /** The time-out may be changed while we run, and the number of messages is what lag is. */
  async function keepLooking(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look()
      await delay(LOOK_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  async function look(): Promise<void> {
    try {
      const facts = await queue.facts(stopping.signal)
      hold.visibilityMs = facts.visibilitySeconds * 1_000
      waiting = facts.waiting
    } catch (error) {
      waiting = undefined
      if (!stopping.signal.aborted) note('counted', error)
    }
  }

  function addReceiver(): void {
    const receiver = receiveAll().finally(() => receivers.delete(receiver))
    receivers.add(receiver)
  }

  async function receiveAll(): Promise<void> {
    let failures = 0
    let attemptId = randomUUID()
    let wasEmpty = false
    while (!stopping.signal.aborted) {
      if (!hasRoom()) {
        await delay(ROOM_MS)
        continue
      }
      const sinceMs = Date.now()
      let messages: QueueMessage[]
      try {
        const isIdle = hold.messages === 0 && wasEmpty
        messages = isIdle
          ? await queue.receive(attemptId, IDLE_POLL_SECONDS, stopping.signal)
          : await queue.receive(attemptId, POLL_SECONDS, left.signal)
      } catch (error) {
        if (stopping.signal.aborted) return
        isAway = true
        note('received', error)
        await pause(Math.min(MAX_PAUSE_MS, 100 * 2 ** failures++), stopping.signal)
        continue
      }
      attemptId = randomUUID()
      wasEmpty = messages.length === 0
      failures = 0
      isAway = false
      lastStepMs = Date.now()
      take(messages, sinceMs)
      if (messages.length === MAX_BATCH && receivers.size < maxReceivers) addReceiver()
      if (messages.length === 0 && receivers.size > 1) return
    }
  }

  const hasRoom = () =>
    hold.messages === 0 ||
    (mayReceive() && hold.messages < IN_HAND * maxReceivers && hold.bytes < MAX_BYTES_IN_HAND)

  function take(messages: QueueMessage[], sinceMs: number): void {
    // A long poll ends with the first message: what it brings was hidden just now, not when the poll began.
    const held = hold.add(messages, Math.max(sinceMs, Date.now() - 1_000))
    const groups = queue.isFifo
      ? Map.groupBy(held, ({ group }) => group).values()
      : held.map((message) => [message])
    for (const group of groups) {
      const run = decideInOrder(group).finally(() => {
        for (const message of group) hold.drop(message)
        runs.delete(run)
        lastStepMs = Date.now()
      })
      runs.add(run)
    }
  }

  async function decideInOrder(group: HeldMessage[]): Promise<void> {
    const { signal } = stopping
    const settled: HeldMessage[] = []
    for (const [index, message] of group.entries()) {
      const untilMs = message.heldSinceMs + maxHoldMs
      const verdict = signal.aborted ? 'return' : await decide(message, { signal, untilMs })
      if (verdict === 'return') {
        await giveBack(group.slice(index))
        break
      }
      if (verdict === 'remove') settled.push(message)
      else if (hold.visibilityMs < BACK_IN_SECONDS * 1_000) await giveBack([message])
      else hold.letGo(message)
    }
    for (const message of settled) hold.letGo(message)
    if (settled.length > 0) await remover.remove(settled)
  }

  async function giveBack(messages: HeldMessage[]): Promise<void> {
    for (const message of messages) hold.letGo(message)
    const handles = messages.map(({ handle }) => handle)
    const seconds = stopping.signal.aborted ? 0 : BACK_IN_SECONDS
    try {
      await queue.setVisibility(handles, seconds, ending.signal)
    } catch (error) {
      // They come back when their time-out has run out.
      if (!ending.signal.aborted) note('given back', error)
    }
  }

  const looking = keepLooking()
  addReceiver()

  return {
    get isAway() {
      return isAway
    },
    get lastError() {
      return lastError
    },
    get lastStepMs() {
      return lastStepMs
    },
    get waiting() {
      return waiting
    },
    /** Finishes what is being written, gives back the rest, and waits for neither for more than a few seconds. */
    async [Symbol.asyncDispose]() {
      stopping.abort()
      const leaving = setTimeout(() => left.abort(), LEAVE_POLLS_MS)
      await Promise.all([looking, ...receivers])
      clearTimeout(leaving)
      await Promise.race([Promise.all(runs), delay(FINISH_MS, undefined, ending)]).catch(() => {})
      ending.abort()
      hold.stop()
      const handles = hold.all().map(({ handle }) => handle)
      const batches = []
      for (let start = 0; start < handles.length; start += MAX_BATCH)
        batches.push(handles.slice(start, start + MAX_BATCH))
      await Promise.allSettled(
        batches.map((batch) => queue.setVisibility(batch, 0, AbortSignal.timeout(GIVE_BACK_MS))),
      )
    },
  }
}
