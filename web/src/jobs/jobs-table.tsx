import Box from '@mui/material/Box'
import IconButton from '@mui/material/IconButton'
import Paper from '@mui/material/Paper'
import Table from '@mui/material/Table'
import TableBody from '@mui/material/TableBody'
import TableCell from '@mui/material/TableCell'
import TableHead from '@mui/material/TableHead'
import TableRow from '@mui/material/TableRow'
import { Fragment } from 'react'
import type { Job } from '../api/types.ts'
import { HIDDEN } from '../shell/hidden.ts'
import { ChevronIcon } from '../shell/icons.tsx'
import { JobActions } from './job-actions.tsx'
import { Count, JobName, JobProgress, When } from './job-cells.tsx'
import { JobDetails } from './job-details.tsx'
import type { RowsProps } from './jobs-section.tsx'
import { StatusChip } from './status-chip.tsx'

/** Widths in a fixed layout: long names wrap instead of pushing numbers out of sight. */
const COLUMNS = [
  { name: 'Details', width: 48, isHidden: true },
  { name: 'File' },
  { name: 'Status', width: 128 },
  { name: 'Progress', width: 240 },
  { name: 'Imported', width: 112, isNumber: true },
  { name: 'Refused', width: 104, isNumber: true },
  { name: 'Uploaded', width: 128 },
  { name: 'Actions', width: 100, isHidden: true },
] as const

export function JobsTable({ jobs, ...rest }: RowsProps) {
  return (
    <Paper variant="outlined" sx={{ borderColor: 'line', overflow: 'hidden' }}>
      <Table
        aria-labelledby="jobs-heading"
        sx={{
          tableLayout: 'fixed',
          '& td, & th': { px: 1.5 },
          '& tbody tr:last-of-type > td': { borderBottom: 0 },
        }}
      >
        <TableHead>
          <TableRow>
            {COLUMNS.map((column) => (
              <TableCell
                key={column.name}
                align={'isNumber' in column ? 'right' : 'left'}
                sx={{
                  width: 'width' in column ? column.width : undefined,
                  py: 1,
                  ...(column.name === 'File' && { pl: 0.5 }),
                }}
              >
                {'isHidden' in column ? (
                  <Box component="span" sx={HIDDEN}>
                    {column.name}
                  </Box>
                ) : (
                  column.name
                )}
              </TableCell>
            ))}
          </TableRow>
        </TableHead>
        <TableBody>
          {jobs.map((job) => (
            <JobRow key={job.id} job={job} {...rest} />
          ))}
        </TableBody>
      </Table>
    </Paper>
  )
}

function JobRow({
  job,
  now,
  open,
  onToggle,
  onCorrected,
  ...handlers
}: Omit<RowsProps, 'jobs'> & { job: Job }) {
  const isOpen = open.has(job.id)
  return (
    <Fragment>
      <TableRow data-job={job.id} sx={{ '& > td': { borderBottom: isOpen ? 0 : undefined, py: 1.25 } }}>
        <TableCell sx={{ pr: 0, pl: 1 }}>
          <ExpandButton job={job} isOpen={isOpen} onToggle={onToggle} />
        </TableCell>
        <TableCell sx={{ pl: 0.5 }}>
          <JobName job={job} />
        </TableCell>
        <TableCell>
          <StatusChip status={job.status} />
        </TableCell>
        <TableCell>
          <JobProgress job={job} />
        </TableCell>
        <TableCell align="right">
          <Count count={job.successCount} />
        </TableCell>
        <TableCell align="right">
          <Count count={job.failedCount} isBad />
        </TableCell>
        <TableCell>
          <When at={job.createdAt} now={now} />
        </TableCell>
        <TableCell sx={{ pl: 0, pr: 1 }}>
          <JobActions job={job} {...handlers} />
        </TableCell>
      </TableRow>
      {isOpen && (
        <TableRow id={`details-${job.id}`}>
          <TableCell colSpan={COLUMNS.length} sx={{ pt: 0, pb: 2.5 }}>
            <Box sx={{ pl: 4.5, pr: 1 }}>
              <JobDetails job={job} onCorrected={onCorrected} />
            </Box>
          </TableCell>
        </TableRow>
      )}
    </Fragment>
  )
}

interface ExpandButtonProps {
  job: Job
  isOpen: boolean
  onToggle: (id: string) => void
}

export function ExpandButton({ job, isOpen, onToggle }: ExpandButtonProps) {
  return (
    <IconButton
      size="small"
      aria-expanded={isOpen}
      aria-controls={isOpen ? `details-${job.id}` : undefined}
      aria-label={`Details of ${job.filename}`}
      onClick={() => onToggle(job.id)}
      sx={{ color: 'text.secondary' }}
    >
      <ChevronIcon
        fontSize="small"
        sx={{ transform: isOpen ? 'rotate(90deg)' : 'none', transition: 'transform 0.15s' }}
      />
    </IconButton>
  )
}
