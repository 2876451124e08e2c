/** Tells what fails again and again at once, and then once a minute. */
export interface Repeats {
  /** @param tell  is called now or not at all, with the number of those of its kind that were passed over since */
  tell(kind: string, tell: (untold: number) => void): void
  /** It is over: the next of this kind, or of any, is told at once. */
  end(kind?: string): void
}

const TOLD_EVERY_MS = 60_000
/** Kinds are few; should they be texts that differ each time, all are told, and none is kept for ever. */
const MAX_KINDS = 1_000

export function createRepeats(): Repeats {
  const kinds = new Map<string, { toldMs: number; untold: number }>()
  return {
    tell(kind, tell) {
      const known = kinds.get(kind)
      if (known && Date.now() - known.toldMs < TOLD_EVERY_MS) {
        known.untold++
        return
      }
      if (kinds.size === MAX_KINDS) kinds.clear()
      kinds.set(kind, { toldMs: Date.now(), untold: 0 })
      tell(known?.untold ?? 0)
    },
    end(kind) {
      if (kind === undefined) kinds.clear()
      else kinds.delete(kind)
    },
  }
}
