import { setTimeout as delay } from 'node:timers/promises'
import { Counter, Histogram, type Registry } from 'prom-client'
import type { Log } from '../../platform/log.ts'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import { type PartHealth, watchPart } from '../shares/part-health.ts'
import { pause } from '../shares/shared-work.ts'
import type { ArchiveKind } from './archive-file.ts'

export interface ArchiveWriter {
  /** Writes an object, as often as it takes, unless it is there; returns early when told to stop. */
  write(kind: ArchiveKind, name: string, pieces: readonly Uint8Array[], signal: AbortSignal): Promise<void>
  /** `waiting`: objects cannot be written, and it is tried again. Nothing is lost meanwhile. */
  health(): PartHealth
}

const WRITERS: Record<ArchiveKind, string> = { raw: 'raw', aggregates: 'aggregate', late: 'late' }
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 5_000
/** A write under way is waited for so long; then it is left alone, for it can only do what whoever comes next does. */
const STOP_MS = 1_000

/** Puts objects where they belong, and tells how that goes. */
export function createArchiveWriter({
  objects,
  registry,
  logger,
}: {
  objects: ObjectStore
  registry: Registry
  logger: Log
}): ArchiveWriter {
  const writes = new Counter({
    name: 'pebbles_s3_writes_total',
    help: 'Objects that were written into archives, or found to be there, in S3 or a folder.',
    labelNames: ['writer'],
    registers: [registry],
  })
  const errors = new Counter({
    name: 'pebbles_s3_errors_total',
    help: 'Attempts to write an object into an archive that failed.',
    labelNames: ['writer'],
    registers: [registry],
  })
  const durations = new Histogram({
    name: 'pebbles_s3_write_duration_seconds',
    help: 'Time to write an object into an archive, failed attempts aside.',
    labelNames: ['writer'],
    buckets: BUCKETS,
    registers: [registry],
  })
  // A counter that is there from the start shows its first step, too.
  for (const writer of Object.values(WRITERS))
    for (const counter of [writes, errors]) counter.inc({ writer }, 0)
  const watch = watchPart('archive', logger)

  return {
    async write(kind, name, pieces, signal) {
      const writer = WRITERS[kind]
      try {
        for (let failures = 0; !signal.aborted; failures++) {
          if (await attempt(writer, name, pieces, signal)) return
          await pause(Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures), signal)
        }
      } finally {
        watch.went(name)
      }
    },
    health: watch.health,
  }

  /** @returns false when it failed, or was stopped */
  async function attempt(
    writer: string,
    name: string,
    pieces: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const start = performance.now()
    try {
      if (!(await unlessStopped(objects.createOnly(name, pieces), signal))) return false
    } catch (error) {
      errors.inc({ writer })
      watch.failed(name, error, 'an object cannot be written; its archive waits until it can')
      return false
    }
    durations.observe({ writer }, (performance.now() - start) / 1_000)
    writes.inc({ writer })
    return true
  }
}

/** @returns false when it did not end in time after it was told to stop */
async function unlessStopped(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  const { promise: stopped, resolve } = Promise.withResolvers<boolean>()
  const stop = () => void delay(STOP_MS, false, { ref: false }).then(resolve)
  signal.addEventListener('abort', stop)
  try {
    return await Promise.race([work.then(() => true), stopped])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
