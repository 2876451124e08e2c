import { PebblesError } from '../errors.ts'

/** Places for a number of things at a time, since each of them takes memory. */
export function createPlaces({ count, waitAtMostMs }: { count: number; waitAtMostMs: number }) {
  const waiting: (() => void)[] = []
  let free = count

  function placeOf(): () => void {
    let isLeft = false
    return () => {
      if (isLeft) return
      isLeft = true
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }

  return {
    /**
     * Waits for a place, in the order of asking.
     *
     * @returns leaves it; doing so again is harmless
     * @throws PebblesError `overloaded` when none became free in time
     */
    async enter(): Promise<() => void> {
      if (free > 0) {
        free--
        return placeOf()
      }
      return new Promise((resolve, reject) => {
        const take = () => {
          clearTimeout(timer)
          resolve(placeOf())
        }
        const timer = setTimeout(() => {
          waiting.splice(waiting.indexOf(take), 1)
          reject(
            new PebblesError('overloaded', 'Too many files are being taken in.', { retryAfterSeconds: 5 }),
          )
        }, waitAtMostMs)
        waiting.push(take)
      })
    },
  }
}
