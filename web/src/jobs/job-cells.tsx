import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'
import type { Job } from '../api/types.ts'
import { formatBytes, formatCount, formatExact, formatRelative } from '../format.ts'
import { Bar } from '../shell/bar.tsx'
import { describeRows, rowPercent } from './job-texts.ts'

/** Name of the file, with what it is below. */
export function JobName({ job }: { job: Job }) {
  const facts = [
    job.dataset,
    job.sizeBytes === undefined ? undefined : formatBytes(job.sizeBytes),
    job.parentId ? 'corrected report' : undefined,
  ]
  return (
    <Box sx={{ minWidth: 0 }}>
      <Typography
        title={job.filename}
        sx={{
          fontSize: '0.875rem',
          fontWeight: 600,
          lineHeight: 1.35,
          overflowWrap: 'anywhere',
          display: '-webkit-box',
          WebkitLineClamp: 2,
          WebkitBoxOrient: 'vertical',
          overflow: 'hidden',
        }}
      >
        {job.filename}
      </Typography>
      <Typography variant="caption" color="textSecondary" component="p">
        {facts.filter(Boolean).join(' · ')}
      </Typography>
    </Box>
  )
}

/** How far a job is: imported and refused rows side by side, and in words. */
export function JobProgress({ job }: { job: Job }) {
  const { totalRows, successCount, failedCount, status } = job
  const percent = rowPercent(job)
  const isMoving = status === 'processing'
  const total = Math.max(1, totalRows ?? 0)
  const text = describeRows(job)
  // Of what has not begun, or ended without a row, a bar would only be a line.
  const hasRows = percent !== undefined && (status === 'completed' || job.processedRows > 0)
  const hasBar = isMoving || hasRows
  return (
    <Box>
      {hasBar && (
        <Bar
          label={`Rows of ${job.filename}`}
          percent={percent}
          text={text}
          parts={[
            { tone: isMoving ? 'active' : 'good', share: successCount / total },
            { tone: 'bad', share: failedCount / total },
          ]}
        />
      )}
      <Box sx={{ display: 'flex', justifyContent: 'space-between', gap: 1, mt: hasBar ? 0.5 : 0 }}>
        <Typography variant="caption" color="textSecondary">
          {text}
        </Typography>
        {hasBar && percent !== undefined && percent < 100 && (
          <Typography variant="caption" color="textSecondary" sx={{ whiteSpace: 'nowrap' }}>
            {percent} %
          </Typography>
        )}
      </Box>
    </Box>
  )
}

/** A count of rows; one that wants attention has a mark besides its colour. */
export function Count({ count, isBad = false }: { count: number; isBad?: boolean }) {
  const isLoud = isBad && count > 0
  return (
    <Typography
      component="span"
      sx={({ vars }) => ({
        fontSize: '0.875rem',
        fontWeight: isLoud ? 700 : 400,
        color: isLoud ? vars!.palette.tones.bad.text : count === 0 ? 'text.secondary' : 'text.primary',
      })}
    >
      {formatCount(count)}
    </Typography>
  )
}

/** When, in words; exactly, to who points at it or asks the element. */
export function When({ at, now }: { at: string; now: number }) {
  const ms = Date.parse(at)
  return (
    <Typography component="span" variant="body2" color="textSecondary" sx={{ whiteSpace: 'nowrap' }}>
      <time dateTime={at} title={formatExact(ms)}>
        {formatRelative(ms, now)}
      </time>
    </Typography>
  )
}
