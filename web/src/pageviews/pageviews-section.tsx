import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Paper from '@mui/material/Paper'
import Skeleton from '@mui/material/Skeleton'
import Typography from '@mui/material/Typography'
import { useState } from 'react'
import { tellShortly } from '../api/problem.ts'
import type { TopPostcode } from '../api/types.ts'
import { plural } from '../format.ts'
import { MinuteChart } from './minute-chart.tsx'
import type { Minutes } from './minutes.ts'
import { TopPostcodes } from './top-postcodes.tsx'
import { usePageviews, usePostcode } from './use-pageviews.ts'

/** Page views of the last hour, or what stands in their place. */
export function PageviewsSection() {
  const { minutes, top } = usePageviews()
  const { data, error } = minutes
  return (
    <Box component="section" aria-labelledby="pageviews-heading">
      <Typography id="pageviews-heading" variant="h2" sx={{ mb: 1.5 }}>
        Page views
      </Typography>
      <Paper variant="outlined" sx={{ borderColor: 'line', p: 2 }}>
        {error && (
          <Box sx={{ display: 'flex', alignItems: 'center', gap: 1, mb: data ? 1.5 : 0 }}>
            <Typography variant="body2" role="status" sx={{ flex: 1, color: 'warning.main' }}>
              {tellShortly(error)}
              {data && ' What you see may be old.'}
            </Typography>
            <Button size="small" variant="outlined" onClick={() => minutes.refetch()}>
              Read page views again
            </Button>
          </Box>
        )}
        {!data && !error && (
          <Box role="status" aria-label="Loading page views">
            <Skeleton variant="rounded" height={152} />
          </Box>
        )}
        {data?.total === 0 && (
          <Typography variant="body2" color="textSecondary">
            None in the last hour. A minute shows here once it is closed, which is about a minute after it has
            ended.
          </Typography>
        )}
        {data !== undefined && data.total > 0 && <Hour minutes={data} top={top} />}
      </Paper>
    </Box>
  )
}

function Hour({ minutes, top }: { minutes: Minutes; top: readonly TopPostcode[] | undefined }) {
  const [chosen, setChosen] = useState<string>()
  const part = usePostcode(chosen, minutes)
  return (
    <Box
      sx={{
        display: 'grid',
        gap: 3,
        gridTemplateColumns: { xs: 'minmax(0, 1fr)', md: 'minmax(0, 1fr) 240px' },
      }}
    >
      <Box>
        <Typography variant="h3" sx={{ mb: 1 }}>
          {plural(minutes.total, 'page view')} in the last hour
        </Typography>
        <MinuteChart minutes={minutes} part={part} partName={chosen} />
      </Box>
      <Box>
        <Typography variant="h3" sx={{ mb: 1 }}>
          Top postcodes
        </Typography>
        {top ? (
          <TopPostcodes top={top} chosen={chosen} onChoose={setChosen} />
        ) : (
          <Skeleton variant="rounded" height={152} />
        )}
      </Box>
    </Box>
  )
}
