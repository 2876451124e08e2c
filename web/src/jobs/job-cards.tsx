import Box from '@mui/material/Box'
import Paper from '@mui/material/Paper'
import Stack from '@mui/material/Stack'
import Typography from '@mui/material/Typography'
import { JobActions } from './job-actions.tsx'
import { Count, JobName, JobProgress, When } from './job-cells.tsx'
import { JobDetails } from './job-details.tsx'
import type { RowsProps } from './jobs-section.tsx'
import { ExpandButton } from './jobs-table.tsx'
import { StatusChip } from './status-chip.tsx'

/** The same rows where a table has no room. */
export function JobCards({ jobs, now, open, onToggle, onCorrected, ...handlers }: RowsProps) {
  return (
    <Stack component="ul" aria-labelledby="jobs-heading" sx={{ listStyle: 'none', m: 0, p: 0, gap: 1 }}>
      {jobs.map((job) => {
        const isOpen = open.has(job.id)
        return (
          <Paper
            key={job.id}
            component="li"
            variant="outlined"
            data-job={job.id}
            sx={{ borderColor: 'line', p: 1.5 }}
          >
            <Stack direction="row" sx={{ gap: 1, justifyContent: 'space-between', alignItems: 'flex-start' }}>
              <JobName job={job} />
              <StatusChip status={job.status} />
            </Stack>
            <Box sx={{ my: 1 }}>
              <JobProgress job={job} />
            </Box>
            <Stack direction="row" sx={{ gap: 2, alignItems: 'center' }}>
              <Figure name="Imported" count={job.successCount} />
              <Figure name="Refused" count={job.failedCount} isBad />
            </Stack>
            <Stack direction="row" sx={{ mt: 0.5, alignItems: 'center', mx: -0.75 }}>
              <ExpandButton job={job} isOpen={isOpen} onToggle={onToggle} />
              <Box sx={{ flex: 1, pl: 0.5 }}>
                <When at={job.createdAt} now={now} />
              </Box>
              <JobActions job={job} {...handlers} />
            </Stack>
            {isOpen && (
              <Box id={`details-${job.id}`} sx={{ borderTop: 1, borderColor: 'line', mt: 1, pt: 0.5 }}>
                <JobDetails job={job} onCorrected={onCorrected} />
              </Box>
            )}
          </Paper>
        )
      })}
    </Stack>
  )
}

function Figure({ name, count, isBad = false }: { name: string; count: number; isBad?: boolean }) {
  return (
    <Typography variant="body2" color="textSecondary" component="span">
      {name} <Count count={count} isBad={isBad} />
    </Typography>
  )
}
