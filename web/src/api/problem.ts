import type { Problem } from '@pebbles/client'

/** What a refused request says to people. */
export interface Told {
  title: string
  /** Every single fault that the service named. */
  faults: string[]
}

export const AWAY = 'Pebbles does not answer. Check that it is running and that you are connected.'

/** Reads an error of the SDK; anything else is shown by its message. */
export function tell(error: unknown): Told {
  const { problem, status, name, message } = error as {
    problem?: Problem
    status?: number
    name?: string
    message?: string
  }
  if (problem) {
    const faults = (problem.errors ?? []).map(({ field, message }) => `${field} ${message}`)
    return { title: problem.detail || problem.title, faults }
  }
  if (name === 'PebblesConnectionError') return { title: AWAY, faults: [] }
  if (status !== undefined) return { title: `The server answered ${status} without saying why.`, faults: [] }
  return { title: message || 'Something went wrong.', faults: [] }
}

/** The same in one line. */
export function tellShortly(error: unknown): string {
  const { title, faults } = tell(error)
  return [title, ...faults].join(' ')
}

export const isUnauthorized = (error: unknown): boolean => (error as { status?: number })?.status === 401
export const isForbidden = (error: unknown): boolean => (error as { status?: number })?.status === 403
