import type { Problem } from '@pebbles/client'

/** The problem of an answer (RFC 9457); undefined when a proxy in between answered in its own way. */
export function parseProblem(text: string): Problem | undefined {
  try {
    const value = JSON.parse(text) as Partial<Problem> | null
    return typeof value?.detail === 'string' || typeof value?.title === 'string'
      ? (value as Problem)
      : undefined
  } catch {
    return undefined
  }
}

/** The cursor of `Link: <…?after=…>; rel="next"` (RFC 8288). */
export function nextCursor(link: string | null): string | null {
  const target = /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '')?.[1]
  return target === undefined ? null : new URLSearchParams(target.split('?')[1]).get('after')
}
