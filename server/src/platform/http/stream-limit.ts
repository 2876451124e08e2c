import { isIPv6 } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { PebblesError } from '../errors.ts'
import { createEventStream, type EventStream } from './sse.ts'

const RETRY_AFTER_SECONDS = 10

export interface StreamLimits {
  /** Streams that are open at a time; each costs a connection. */
  total: number
  /** Of these, streams of one address, so that one caller cannot take them all; 0 for no limit. */
  perAddress: number
}

export interface StreamLimit {
  /**
   * A stream that counts until it is closed.
   *
   * @throws PebblesError `overloaded` when all are taken, `rate_limited` when the caller has its share
   */
  createStream(request: FastifyRequest, reply: FastifyReply): EventStream
}

export function createStreamLimit({ total, perAddress }: StreamLimits): StreamLimit {
  const taken = new Map<string, number>()
  let size = 0

  function release(address: string): void {
    size--
    const left = taken.get(address)! - 1
    if (left === 0) taken.delete(address)
    else taken.set(address, left)
  }

  return {
    createStream(request, reply) {
      const address = networkOf(request.ip)
      const own = taken.get(address) ?? 0
      const retryAfterSeconds = RETRY_AFTER_SECONDS
      if (size >= total)
        throw new PebblesError('overloaded', 'Too many live views are open.', { retryAfterSeconds })
      if (perAddress > 0 && own >= perAddress) {
        const detail = `More than ${perAddress} live views are open from this address.`
        throw new PebblesError('rate_limited', detail, { retryAfterSeconds })
      }
      const stream = createEventStream(request, reply)
      size++
      taken.set(address, own + 1)
      stream.onClose(() => release(address))
      return stream
    },
  }
}

/** An IPv4 address as it is; of an IPv6 address the /64, all of which a single host may have for itself. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address
  const [head = [], tail = []] = address.split('::').map((part) => (part === '' ? [] : part.split(':')))
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0')
  return [...head, ...zeros, ...tail].slice(0, 4).join(':')
}
