import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Skeleton from '@mui/material/Skeleton'
import Stack from '@mui/material/Stack'
import Typography from '@mui/material/Typography'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useRef } from 'react'
import { tellShortly } from '../api/problem.ts'
import { useSession } from '../api/session.ts'
import { isActive, type Job } from '../api/types.ts'
import { formatCount, formatDuration, formatExact, plural } from '../format.ts'
import { DownloadButton } from '../shell/download.tsx'
import { ReceiptIcon, UploadIcon } from '../shell/icons.tsx'
import { JobErrors, SHOWN_ERRORS } from './job-errors.tsx'

interface JobDetailsProps {
  job: Job
  onCorrected: (files: File[], job: Job) => void
}

/** What a row opens to: facts, the first refused rows, and what to do about them. */
export function JobDetails({ job, onCorrected }: JobDetailsProps) {
  const { api } = useSession()
  const hasRefused = job.failedCount > 0
  const path = `/api/jobs/${job.id}`
  const stem = job.filename.replace(/\.[^.]*$/, '')
  // The first errors do not change while more are found: nothing is read again for those that are not shown.
  const known = isActive(job) ? Math.min(job.failedCount, SHOWN_ERRORS) : job.failedCount
  const details = useQuery({
    queryKey: ['job', job.id, known, isActive(job)],
    queryFn: ({ signal }) => api.readJob(job.id, signal),
    enabled: hasRefused,
    placeholderData: keepPreviousData,
  })
  return (
    <Stack sx={{ gap: 2, py: 1 }}>
      {job.error && (
        <Alert severity="error" variant="outlined">
          {job.error}
        </Alert>
      )}
      <Facts job={job} />
      {(hasRefused || job.status === 'completed') && (
        <Stack direction="row" useFlexGap sx={{ gap: 1, flexWrap: 'wrap' }}>
          {hasRefused && (
            <>
              <DownloadButton path={`${path}/errors.csv`} filename={`${stem}-errors.csv`}>
                Error report
              </DownloadButton>
              <DownloadButton
                path={`${path}/errors.csv?raw=true`}
                filename={`${stem}-errors-raw.csv`}
                title="Cells exactly as in the file, without the apostrophe that keeps a spreadsheet from running them"
              >
                Raw report
              </DownloadButton>
              {!isActive(job) && <CorrectedUpload job={job} onCorrected={onCorrected} />}
            </>
          )}
          {job.status === 'completed' && (
            <DownloadButton path={`${path}/receipt`} filename={`${stem}-receipt.json`} icon={<ReceiptIcon />}>
              Receipt
            </DownloadButton>
          )}
        </Stack>
      )}
      {hasRefused && (
        <Box component="section" aria-label={`Refused rows of ${job.filename}`}>
          <Typography variant="h3" component="h3" sx={{ mb: 1 }}>
            {plural(job.failedCount, 'refused row')}
          </Typography>
          {details.error && !details.data ? (
            <Alert
              severity="error"
              variant="outlined"
              action={<Button onClick={() => void details.refetch()}>Try again</Button>}
            >
              {tellShortly(details.error)}
            </Alert>
          ) : details.data ? (
            <JobErrors errors={details.data.errors} total={job.failedCount} filename={job.filename} />
          ) : (
            <Skeleton variant="rounded" height={96} />
          )}
        </Box>
      )}
    </Stack>
  )
}

function CorrectedUpload({ job, onCorrected }: JobDetailsProps) {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        accept=".csv,.tsv,.txt,text/csv"
        data-corrects={job.id}
        onChange={({ target }) => {
          if (target.files?.length) onCorrected([...target.files], job)
          target.value = ''
        }}
      />
      <Button
        size="small"
        variant="outlined"
        startIcon={<UploadIcon />}
        onClick={() => input.current?.click()}
      >
        Upload corrected report
      </Button>
    </>
  )
}

function Facts({ job }: { job: Job }) {
  const { createdAt, completedAt, successCount, failedCount, duplicateCount = 0, correctedCount = 0 } = job
  const created = Date.parse(createdAt)
  const completed = completedAt === null ? undefined : Date.parse(completedAt)
  const facts: [string, string][] = [
    ['Uploaded', formatExact(created)],
    ['Imported', formatCount(successCount)],
    ['Refused', formatCount(failedCount)],
  ]
  if (duplicateCount > 0) facts.push(['Refused as duplicates', formatCount(duplicateCount)])
  if (correctedCount > 0) facts.push(['Corrected later', formatCount(correctedCount)])
  if (completed !== undefined) facts.push(['Ended after', formatDuration(completed - created)])
  facts.push(['Job', job.id])
  return (
    <Box
      component="dl"
      sx={{
        m: 0,
        display: 'flex',
        flexWrap: 'wrap',
        columnGap: 4,
        rowGap: 1,
        '& dt': { color: 'text.secondary', fontSize: '0.75rem' },
        '& dd': { m: 0, fontSize: '0.8125rem', overflowWrap: 'anywhere' },
      }}
    >
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </Box>
  )
}
