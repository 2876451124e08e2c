import Box from '@mui/material/Box'
import { keyframes } from '@mui/material/styles'

type Tone = 'neutral' | 'active' | 'good' | 'bad'

interface BarProps {
  /** What makes progress, for those who do not see the row around it. */
  label: string
  /** Whole percents; undefined while nobody knows. */
  percent: number | undefined
  /** What the percents stand for, such as `12 of 59 rows`. */
  text: string
  /** Pieces of the bar, as parts of the whole. */
  parts: readonly { tone: Tone; share: number }[]
}

const slide = keyframes({ from: { left: '-35%' }, to: { left: '100%' } })

/** A progress bar with a name and a value, of one or more colours. */
export function Bar({ label, percent, text, parts }: BarProps) {
  return (
    <Box
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={percent === undefined ? text : `${percent} %, ${text}`}
      sx={{
        position: 'relative',
        display: 'flex',
        height: 6,
        borderRadius: 3,
        overflow: 'hidden',
        bgcolor: 'ground',
      }}
    >
      {percent === undefined ? (
        <Box
          sx={({ vars }) => ({
            position: 'absolute',
            width: '35%',
            height: '100%',
            borderRadius: 3,
            bgcolor: vars!.palette.tones.active.bar,
            animation: `${slide} 1.4s ease-in-out infinite`,
            '@media (prefers-reduced-motion: reduce)': { animation: 'none', width: '100%', opacity: 0.4 },
          })}
        />
      ) : (
        parts.map(({ tone, share }) => (
          <Box
            key={tone}
            style={{ width: `${100 * share}%` }}
            sx={({ vars }) => ({ bgcolor: vars!.palette.tones[tone].bar, transition: 'width 0.3s linear' })}
          />
        ))
      )}
    </Box>
  )
}
