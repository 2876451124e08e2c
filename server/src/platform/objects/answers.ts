import { PebblesError } from '../errors.ts'
import { createSharedReading } from '../telemetry/shared-reading.ts'
import type { ObjectStore } from './objects.ts'

/** What an operation has told of the place is believed for so long. */
const BELIEVED_MS = 30_000
/** A place that was away is asked again so soon. */
const RETRY_MS = 5_000

export interface WatchedObjects {
  objects: ObjectStore
  /**
   * Whether the place of objects answers, as the last operation on it tells; only when that is half a minute ago is the
   * place asked, once for all who want to know. False when it takes longer than a second. Never throws.
   */
  answers(): Promise<boolean>
}

/** Listens to what operations tell of the place where objects are. */
export function watchObjects(objects: ObjectStore): WatchedObjects {
  let told: { at: number; isThere: boolean } | undefined

  /** Other errors are about the object, or whoever sends it. */
  function noteFailure(error: unknown): never {
    if (error instanceof PebblesError && error.code === 'unavailable')
      told = { at: Date.now(), isThere: false }
    throw error
  }
  async function note<T>(work: Promise<T>): Promise<T> {
    const value = await work.catch(noteFailure)
    told = { at: Date.now(), isThere: true }
    return value
  }
  const watched: ObjectStore = {
    ...objects,
    async stage(...args) {
      // A small one may still be here only.
      const staged = await objects.stage(...args).catch(noteFailure)
      return { ...staged, keep: () => note(staged.keep()) }
    },
    createOnly: (...args) => note(objects.createOnly(...args)),
    remove: (...args) => note(objects.remove(...args)),
    list: (...args) => note(objects.list(...args)),
  }
  const ask = createSharedReading(() => watched.list('uploads', { limit: 1 }), {
    pauseMs: BELIEVED_MS,
    retryMs: RETRY_MS,
  })
  return {
    objects: watched,
    async answers() {
      if (told && Date.now() - told.at < (told.isThere ? BELIEVED_MS : RETRY_MS)) return told.isThere
      return (await ask()) !== undefined
    },
  }
}
