import { Producer } from '@platformatic/kafka'
import { clientOptions, closeClient, type KafkaConnection, untilStopped } from './connection.ts'
import { cutLetters, type Letter, toMessage } from './sender.ts'
import { isKafkaError } from './topic.ts'

/** Sends in transactions, in the name of an id that only one sender has at a time. After an error it is done for. */
export interface TransactionalSender extends AsyncDisposable {
  /**
   * Resolves when all of them are committed, in their order; readers with read_committed see all or none.
   *
   * @param letters for one partition
   * @returns the offset behind the last of them; undefined when it was not told
   * @throws Error when they may be there or not: who opens the next sender of the id can read which. Of {@link isFenced}
   *   when there is another sender of the id.
   */
  send(letters: readonly Letter[]): Promise<number | undefined>
}

export interface TransactionalSenderOptions {
  connection: KafkaConnection
  topic: string
  transactionalId: string
  /** What is being sent then may come to its end, for some seconds. */
  stop: AbortSignal
}

type Transaction = Awaited<ReturnType<Producer['beginTransaction']>>

/** Brokers abort what is open for so long; until then readers of its partition wait, when nobody comes to do it. */
const TRANSACTION_MS = 60_000
const RETRIES = 12
const MAX_PAUSE_MS = 250
const GRACE_MS = 3_000
/** It has no producer yet. The library's default is a request to go on as the producer 0, which brokers may refuse. */
const NEW_PRODUCER = { producerId: -1n, producerEpoch: -1 }

/**
 * Opens the sender of an id. When this has resolved, nothing comes any more from the one before it: its open
 * transaction is aborted, or the commit that it asked for is done, and whatever it sends later is refused.
 */
export async function openTransactionalSender(
  options: TransactionalSenderOptions,
): Promise<TransactionalSender> {
  const { connection, topic, transactionalId, stop } = options
  await using opened = new AsyncDisposableStack()
  const client = new Producer({
    ...clientOptions(connection),
    idempotent: true,
    transactionalId,
    timeout: TRANSACTION_MS,
    retries: RETRIES,
    // What comes soon after a commit has to wait until the brokers have written its marks, which takes milliseconds.
    retryDelay: (_client, _operation, attempt) => Math.min(MAX_PAUSE_MS, 10 * 2 ** attempt),
  })
  client.on('error', () => {})
  opened.defer(() => closeClient(client))
  // Beginning is what asks the brokers for the place; the first transaction is the one that was begun so.
  let begun: Transaction | undefined = await untilStopped(client, stop, () =>
    client.beginTransaction(NEW_PRODUCER),
  )
  let timer: NodeJS.Timeout | undefined
  const onStop = () => {
    timer = setTimeout(() => void closeClient(client), GRACE_MS)
  }
  stop.addEventListener('abort', onStop)
  opened.defer(() => {
    stop.removeEventListener('abort', onStop)
    clearTimeout(timer)
  })
  const owned = opened.move()
  return {
    async send(letters) {
      const transaction = begun ?? (await client.beginTransaction())
      begun = undefined
      let next: number | undefined
      // One after the other: the library mixes up requests of one transaction that overlap.
      for (const batch of cutLetters(letters)) {
        const { offsets } = await transaction.send({
          messages: batch.map((letter) => toMessage(topic, letter)),
        })
        const first = offsets?.[0]?.offset
        next = first === undefined || first < 0n ? undefined : Number(first) + batch.length
      }
      await transaction.commit()
      return next
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const FENCED = ['PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH']

/** Another sender of the id was opened after this one. */
export const isFenced = (error: unknown): boolean => FENCED.some((id) => isKafkaError(error, id))
