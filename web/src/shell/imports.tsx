import Box from '@mui/material/Box'
import Container from '@mui/material/Container'
import Stack from '@mui/material/Stack'
import Typography from '@mui/material/Typography'
import { useQuery } from '@tanstack/react-query'
import { type RefObject, useCallback, useEffect, useRef, useState } from 'react'
import { isForbidden, tell } from '../api/problem.ts'
import { useSession } from '../api/session.ts'
import { CUSTOMERS, type Job, type JobList } from '../api/types.ts'
import { plural } from '../format.ts'
import { announceEnd } from '../jobs/job-texts.ts'
import { JobsSection } from '../jobs/jobs-section.tsx'
import { StatsCards } from '../jobs/stats-cards.tsx'
import { useJobs } from '../jobs/use-jobs.ts'
import { LiveBadge } from '../live/live-badge.tsx'
import { PageviewsSection } from '../pageviews/pageviews-section.tsx'
import { UploadList } from '../uploads/upload-list.tsx'
import { UploadZone } from '../uploads/upload-zone.tsx'
import { useDroppedFiles } from '../uploads/use-dropped-files.ts'
import { useUploads } from '../uploads/use-uploads.ts'
import { Header } from './header.tsx'
import { useNotices } from './notices.tsx'
import { SignIn } from './sign-in.tsx'

/** So many ends are said one by one; more at once are counted. */
const SAID_ONE_BY_ONE = 3

export function Imports() {
  const { needsToken } = useSession()
  const { announce } = useNotices()
  const sayEnded = useCallback(
    (jobs: Job[]) => {
      if (jobs.length > SAID_ONE_BY_ONE) announce(`${plural(jobs.length, 'import')} have ended.`)
      else for (const job of jobs) announce(announceEnd(job))
    },
    [announce],
  )
  const view = useJobs(sayEnded)
  if (needsToken || (isForbidden(view.error) && !view.list)) {
    return (
      <>
        <Header />
        <Container component="main" maxWidth="lg">
          <SignIn reason={isForbidden(view.error) ? tell(view.error).title : undefined} />
        </Container>
      </>
    )
  }
  return (
    <>
      <Header>
        <LiveBadge status={view.live} />
      </Header>
      <Container component="main" maxWidth="lg" sx={{ py: 3 }}>
        <Work view={view} />
      </Container>
    </>
  )
}

function Work({ view }: { view: ReturnType<typeof useJobs> }) {
  const { api } = useSession()
  const { show } = useNotices()
  const { queue, store } = useUploads(view.put)
  const [chosen, setChosen] = useState(CUSTOMERS.name)
  // A service without declared datasets has one all the same.
  const { data: datasets = [CUSTOMERS] } = useQuery({
    queryKey: ['datasets'],
    queryFn: ({ signal }) => api.readDatasets(signal),
    retry: false,
  })
  const dataset = datasets.find(({ name }) => name === chosen) ?? datasets[0] ?? CUSTOMERS
  const upload = (files: File[]) => store.add(files, { dataset: dataset.name })
  const isOver = useDroppedFiles((files, folders) => {
    if (folders > 0) show('Folders cannot be uploaded; choose the files in them.', 'error')
    upload(files)
  })
  const chooseRef = useRef<HTMLButtonElement>(null)
  const cancel = (id: string) => {
    store.cancel(id)
    // The button that had the focus is gone.
    chooseRef.current?.focus()
  }
  const keepFocus = useFocusKept(view.list, chooseRef)
  const isEmpty = view.list?.jobs.length === 0
  useTitle(view.stats?.processing ?? 0)
  return (
    <Stack sx={{ gap: 2.5 }}>
      {!isEmpty && !(view.error && !view.list) && <StatsCards stats={view.stats} />}
      {isEmpty && (
        <Box sx={{ pt: { xs: 1, sm: 3 }, textAlign: 'center' }}>
          <Typography variant="h2" sx={{ fontSize: '1.25rem' }}>
            Nothing imported yet
          </Typography>
          <Typography color="textSecondary">
            Upload a file and watch its rows come in, the refused ones with their reasons.
          </Typography>
        </Box>
      )}
      <UploadZone
        datasets={datasets}
        dataset={dataset}
        onDataset={setChosen}
        onFiles={upload}
        isOver={isOver}
        isFirst={isEmpty}
        chooseRef={chooseRef}
      />
      <UploadList queue={queue} onCancel={cancel} onRetry={store.retry} />
      {!isEmpty && (
        <JobsSection
          view={view}
          onGone={keepFocus}
          onCorrected={(files, job) =>
            store.add(files, { dataset: job.dataset ?? dataset.name, parentId: job.id })
          }
        />
      )}
      {view.list && <PageviewsSection />}
    </Stack>
  )
}

/** How long after a deletion its row, its dialog, and with the last job the list itself may take to go. */
const GOING_MS = 1_000

/** Gives the focus of a deleted row to the heading of those that are left, or else to the button for new ones. */
function useFocusKept(list: JobList | undefined, fallback: RefObject<HTMLElement | null>): () => void {
  const [goneAtMs, setGoneAtMs] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is looked at again whenever something has gone
  useEffect(() => {
    if (Date.now() - goneAtMs > GOING_MS || document.activeElement !== document.body) return
    const left = document.getElementById('jobs-heading') ?? fallback.current
    left?.focus({ preventScroll: true })
  }, [goneAtMs, list])
  return useCallback(() => setGoneAtMs(Date.now()), [])
}

/** A tab in the background tells that something is under way. */
function useTitle(processing: number): void {
  useEffect(() => {
    document.title = processing > 0 ? `(${processing}) Pebbles` : 'Pebbles'
  }, [processing])
}
