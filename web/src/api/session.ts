import { createContext, use } from 'react'
import type { Api } from './api.ts'

export interface Session {
  api: Api
  /** The service has answered that it needs a token, or that this one is not valid. */
  needsToken: boolean
  signIn(token: string): void
  signOut(): void
  refuse(): void
}

export const SessionContext = createContext<Session | undefined>(undefined)

export function useSession(): Session {
  const session = use(SessionContext)
  if (!session) throw new Error('there is no session around this component')
  return session
}

const KEY = 'pebbles-token'

/** For this tab alone, and gone with it. A browser that forbids storage keeps the token in memory. */
export function storedToken(): string | undefined {
  try {
    return sessionStorage.getItem(KEY) ?? undefined
  } catch {
    return undefined
  }
}

export function storeToken(token: string | undefined): void {
  try {
    if (token === undefined) sessionStorage.removeItem(KEY)
    else sessionStorage.setItem(KEY, token)
  } catch {
    // It lasts until the page is loaded anew.
  }
}
