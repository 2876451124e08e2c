import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Paper from '@mui/material/Paper'
import Skeleton from '@mui/material/Skeleton'
import Stack from '@mui/material/Stack'
import type { Theme } from '@mui/material/styles'
import Typography from '@mui/material/Typography'
import useMediaQuery from '@mui/material/useMediaQuery'
import { useState } from 'react'
import { AWAY, tellShortly } from '../api/problem.ts'
import type { Job, JobList } from '../api/types.ts'
import { formatCount } from '../format.ts'
import { useNotices } from '../shell/notices.tsx'
import { useNow } from '../shell/use-now.ts'
import { JobCards } from './job-cards.tsx'
import { JobsTable } from './jobs-table.tsx'
import type { JobsView } from './use-jobs.ts'

export interface RowsProps {
  jobs: readonly Job[]
  now: number
  open: ReadonlySet<string>
  onToggle: (id: string) => void
  onChanged: (job: Job) => void
  onDeleted: (job: Job) => void
  onCorrected: (files: File[], job: Job) => void
}

interface JobsSectionProps {
  view: JobsView
  onCorrected: RowsProps['onCorrected']
  /** A job was deleted, and with it the button that had the focus. */
  onGone: () => void
}

/** The list of jobs, or what stands in its place while it is read or cannot be. */
export function JobsSection({ view, onCorrected, onGone }: JobsSectionProps) {
  const { list, error } = view
  const isWide = useMediaQuery<Theme>((theme) => theme.breakpoints.up('md'))
  const now = useNow(20_000)
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())
  function toggle(id: string) {
    const next = new Set(open)
    if (!next.delete(id)) next.add(id)
    setOpen(next)
  }
  function forget(job: Job) {
    view.remove(job.id)
    onGone()
  }
  if (!list && error) return <Away error={error} view={view} />
  if (!list) return <Loading />
  const Rows = isWide ? JobsTable : JobCards
  return (
    <Box component="section" aria-labelledby="jobs-heading">
      <Typography id="jobs-heading" variant="h2" tabIndex={-1} sx={{ mb: 1.5, outline: 'none' }}>
        Imports
      </Typography>
      {error && (
        <Alert
          severity="warning"
          variant="outlined"
          sx={{ mb: 1.5 }}
          action={
            <Button color="inherit" onClick={view.reload}>
              Try again
            </Button>
          }
        >
          {tellShortly(error)} What you see may be old.
        </Alert>
      )}
      <Rows
        jobs={list.jobs}
        now={now}
        open={open}
        onToggle={toggle}
        onChanged={view.put}
        onDeleted={forget}
        onCorrected={onCorrected}
      />
      <More list={list} total={view.stats?.total} loadMore={view.loadMore} />
    </Box>
  )
}

function More({
  list,
  total,
  loadMore,
}: {
  list: JobList
  total: number | undefined
  loadMore: () => Promise<void>
}) {
  const { show } = useNotices()
  const [isLoading, setIsLoading] = useState(false)
  if (list.next === null) return null
  async function load() {
    setIsLoading(true)
    try {
      await loadMore()
    } catch (error) {
      show(`No more could be loaded. ${tellShortly(error)}`, 'error')
    } finally {
      setIsLoading(false)
    }
  }
  return (
    <Stack direction="row" sx={{ mt: 2, gap: 2, alignItems: 'center', justifyContent: 'center' }}>
      <Button variant="outlined" loading={isLoading} onClick={load}>
        Load more
      </Button>
      <Typography variant="body2" color="textSecondary">
        {formatCount(list.jobs.length)}
        {total !== undefined && ` of ${formatCount(Math.max(total, list.jobs.length))}`} shown
      </Typography>
    </Stack>
  )
}

function Loading() {
  return (
    <Box role="status" aria-label="Loading imports">
      <Skeleton width={96} sx={{ mb: 1 }} />
      {[0, 1, 2, 3].map((row) => (
        <Skeleton key={row} variant="rounded" height={60} sx={{ mb: 1 }} />
      ))}
    </Box>
  )
}

function Away({ error, view }: { error: Error; view: JobsView }) {
  const text = tellShortly(error)
  return (
    <Paper variant="outlined" sx={{ p: 4, textAlign: 'center' }} role="alert">
      <Typography variant="h2" sx={{ mb: 1 }}>
        The imports could not be read
      </Typography>
      <Typography color="textSecondary" sx={{ mb: 2 }}>
        {text}
        {text === AWAY && ' This page tries again by itself.'}
      </Typography>
      <Button variant="contained" loading={view.isReading} onClick={view.reload}>
        Try again
      </Button>
    </Paper>
  )
}
