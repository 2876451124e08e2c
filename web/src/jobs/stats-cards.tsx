import Box from '@mui/material/Box'
import Paper from '@mui/material/Paper'
import Skeleton from '@mui/material/Skeleton'
import Typography from '@mui/material/Typography'
import type { JobStats, JobStatus } from '../api/types.ts'
import { formatCount, formatShortCount } from '../format.ts'
import { STATUS_LABELS } from './job-texts.ts'
import { toneOf } from './status-chip.tsx'

const ALWAYS: readonly JobStatus[] = ['pending', 'processing', 'completed', 'failed']

/** How many jobs there are, all together and in each status; cancelled ones when there are some. */
export function StatsCards({ stats }: { stats: JobStats | undefined }) {
  const statuses = stats && stats.cancelled > 0 ? [...ALWAYS, 'cancelled' as const] : ALWAYS
  return (
    <Box
      component="dl"
      aria-label="Imports by status"
      sx={{
        m: 0,
        display: 'grid',
        gap: 1,
        gridTemplateColumns: {
          xs: 'repeat(3, minmax(0, 1fr))',
          md: `repeat(${statuses.length + 1}, minmax(0, 1fr))`,
        },
      }}
    >
      <Card
        name="Total"
        count={stats?.total}
        tone={undefined}
        // Five cards in three columns would leave a hole.
        isWide={statuses.length === ALWAYS.length}
      />
      {statuses.map((status) => (
        <Card key={status} name={STATUS_LABELS[status]} count={stats?.[status]} tone={toneOf(status)} />
      ))}
    </Box>
  )
}

interface CardProps {
  name: string
  count: number | undefined
  tone: ReturnType<typeof toneOf> | undefined
  isWide?: boolean
}

function Card({ name, count, tone, isWide = false }: CardProps) {
  return (
    <Paper
      variant="outlined"
      sx={{
        borderColor: 'line',
        px: { xs: 1.25, sm: 2 },
        py: 1.25,
        minWidth: 0,
        gridColumn: isWide ? { xs: 'span 2', md: 'auto' } : 'auto',
      }}
    >
      <Typography
        component="dt"
        variant="caption"
        color="textSecondary"
        sx={{ display: 'flex', alignItems: 'center', gap: 0.75 }}
      >
        {tone && (
          <Box
            component="span"
            sx={({ vars }) => ({
              width: 8,
              height: 8,
              borderRadius: 4,
              flex: 'none',
              bgcolor: vars!.palette.tones[tone].bar,
            })}
          />
        )}
        {name}
      </Typography>
      <Typography
        component="dd"
        title={count === undefined ? undefined : formatCount(count)}
        sx={{
          m: 0,
          fontSize: { xs: '1.25rem', sm: '1.5rem' },
          fontWeight: 650,
          lineHeight: 1.3,
          letterSpacing: '-0.01em',
          color: count === 0 ? 'text.secondary' : 'text.primary',
        }}
      >
        {count === undefined ? <Skeleton width={40} /> : formatShortCount(count)}
      </Typography>
    </Paper>
  )
}
