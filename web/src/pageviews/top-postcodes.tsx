import Box from '@mui/material/Box'
import ButtonBase from '@mui/material/ButtonBase'
import Typography from '@mui/material/Typography'
import type { TopPostcode } from '../api/types.ts'
import { formatCount } from '../format.ts'

interface TopPostcodesProps {
  top: readonly TopPostcode[]
  chosen: string | undefined
  onChoose: (postcode: string | undefined) => void
}

/** The postcodes with the most page views. One that is chosen is shown among all in the chart. */
export function TopPostcodes({ top, chosen, onChoose }: TopPostcodesProps) {
  const most = top[0]?.pageview_count ?? 1
  return (
    <Box component="ul" aria-label="Top postcodes" sx={{ m: 0, p: 0, listStyle: 'none' }}>
      {top.map(({ postcode, pageview_count }) => (
        <li key={postcode}>
          <ButtonBase
            aria-pressed={postcode === chosen}
            onClick={() => onChoose(postcode === chosen ? undefined : postcode)}
            sx={{
              position: 'relative',
              display: 'flex',
              width: '100%',
              px: 1,
              py: 0.5,
              gap: 1,
              borderRadius: 1,
              justifyContent: 'space-between',
              overflow: 'hidden',
              '&:hover': { bgcolor: 'ground' },
            }}
          >
            <Box
              component="span"
              aria-hidden
              style={{ width: `${(100 * pageview_count) / most}%` }}
              sx={({ vars }) => ({
                position: 'absolute',
                insetBlock: 2,
                left: 0,
                borderRadius: 0.75,
                bgcolor: vars!.palette.tones[postcode === chosen ? 'active' : 'neutral'].tint,
              })}
            />
            <Typography
              component="span"
              variant="body2"
              noWrap
              sx={{ position: 'relative', fontWeight: postcode === chosen ? 650 : 400 }}
            >
              {postcode}
            </Typography>
            <Typography component="span" variant="body2" sx={{ position: 'relative' }}>
              {formatCount(pageview_count)}
            </Typography>
          </ButtonBase>
        </li>
      ))}
    </Box>
  )
}
