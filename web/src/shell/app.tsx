import CssBaseline from '@mui/material/CssBaseline'
import { ThemeProvider } from '@mui/material/styles'
import { isRetryable } from '@pebbles/client'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { useCallback, useMemo, useState } from 'react'
import { createApi } from '../api/api.ts'
import { type Session, SessionContext, storedToken, storeToken } from '../api/session.ts'
import { Imports } from './imports.tsx'
import { NoticesProvider } from './notices.tsx'
import { theme } from './theme.ts'

/** Where the page lies there is the service, also below a path of a proxy. */
const SERVICE = new URL('.', document.baseURI).href.replace(/\/+$/, '')

export function App() {
  return (
    <ThemeProvider theme={theme} defaultMode="system">
      <CssBaseline enableColorScheme />
      <NoticesProvider>
        <SignedIn />
      </NoticesProvider>
    </ThemeProvider>
  )
}

/** One cache per caller: nothing of one is ever shown to another. */
function SignedIn() {
  const [token, setToken] = useState(storedToken)
  const [needsToken, setNeedsToken] = useState(false)
  const change = useCallback((next: string | undefined) => {
    storeToken(next)
    setToken(next)
    setNeedsToken(false)
  }, [])
  const refuse = useCallback(() => setNeedsToken(true), [])
  const session = useMemo<Session>(
    () => ({
      api: createApi(SERVICE, token),
      needsToken,
      refuse,
      signIn: change,
      signOut: () => change(undefined),
    }),
    [token, needsToken, refuse, change],
  )
  return (
    <SessionContext value={session}>
      <Cached key={token} />
    </SessionContext>
  )
}

function Cached() {
  const [client] = useState(createQueryClient)
  return (
    <QueryClientProvider client={client}>
      <Imports />
    </QueryClientProvider>
  )
}

function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // What is shown is kept fresh by events, or by asking: see live-status.ts.
        staleTime: Number.POSITIVE_INFINITY,
        networkMode: 'always',
        retry: (failures, error) => failures < 1 && isRetryable(error),
        retryDelay: 500,
      },
      mutations: { networkMode: 'always' },
    },
  })
}
