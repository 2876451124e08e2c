import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Snackbar from '@mui/material/Snackbar'
import { createContext, type ReactNode, use, useCallback, useMemo, useState } from 'react'
import { HIDDEN } from './hidden.ts'

interface Notices {
  /** Says it aloud to who listens to the page, and shows nothing: it can be seen elsewhere. */
  announce(text: string): void
  /** Shows it for a while, and says it aloud. */
  show(text: string, severity?: 'success' | 'error'): void
}

const NoticesContext = createContext<Notices>({ announce: () => {}, show: () => {} })

export const useNotices = (): Notices => use(NoticesContext)

const SHOWN_MS = 6_000

/** One polite live region for all of the page, and short messages at its foot. */
export function NoticesProvider({ children }: { children: ReactNode }) {
  const [spoken, setSpoken] = useState<string[]>([])
  const [shown, setShown] = useState<{ text: string; severity: 'success' | 'error' }>()
  const [isOpen, setIsOpen] = useState(false)

  const announce = useCallback((text: string) => {
    // Appended, not replaced: of several at once none is lost. Old ones go, so that nobody finds them when browsing.
    setSpoken((texts) => [...texts, text])
    setTimeout(() => setSpoken((texts) => texts.slice(1)), SHOWN_MS)
  }, [])
  const notices = useMemo<Notices>(
    () => ({
      announce,
      show(text, severity = 'success') {
        setShown({ text, severity })
        setIsOpen(true)
        announce(text)
      },
    }),
    [announce],
  )

  return (
    <NoticesContext value={notices}>
      {children}
      <Box role="status" aria-live="polite" aria-atomic="false" sx={HIDDEN}>
        {spoken.map((text, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the same text may come twice
          <p key={`${index} ${text}`}>{text}</p>
        ))}
      </Box>
      {shown && (
        <section aria-label="Messages">
          <Snackbar
            open={isOpen}
            anchorOrigin={{ vertical: 'bottom', horizontal: 'center' }}
            autoHideDuration={SHOWN_MS}
            onClose={(_event, reason) => reason !== 'clickaway' && setIsOpen(false)}
          >
            {/* Said by the region above already. */}
            <Alert
              severity={shown.severity}
              variant="outlined"
              role="presentation"
              onClose={() => setIsOpen(false)}
              sx={{ bgcolor: 'background.paper', overflowWrap: 'anywhere' }}
            >
              {shown.text}
            </Alert>
          </Snackbar>
        </section>
      )}
    </NoticesContext>
  )
}
