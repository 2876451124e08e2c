import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'
import { type KeyboardEvent, type PointerEvent, useState } from 'react'
import { formatCount, formatMinute, formatShortCount, plural } from '../format.ts'
import { MINUTE_MS, type Minutes, roundUp, SHOWN } from './minutes.ts'

const HEIGHT_PX = 120
/** Labels below the chart, from the first minute on. */
const LABEL_EVERY = 15

interface MinuteChartProps {
  minutes: Minutes
  /** A part of them, and what it is called. */
  part: Minutes | undefined
  partName: string | undefined
}

/**
 * Bars by minute. One of them is read out: the newest that has page views, the one under the pointer, or the one that
 * was gone to by keyboard, as on a slider.
 */
export function MinuteChart({ minutes, part, partName }: MinuteChartProps) {
  const { startMs, counts } = minutes
  const [chosenMs, setChosenMs] = useState<number>()
  const newest = Math.max(
    0,
    counts.findLastIndex((count) => count > 0),
  )
  // The chosen minute moves with the hour, and leaves it at last.
  const chosen = chosenMs === undefined ? -1 : (chosenMs - startMs) / MINUTE_MS
  const place = chosen >= 0 && chosen < SHOWN ? chosen : newest
  const choose = (next: number) => setChosenMs(startMs + Math.min(SHOWN - 1, Math.max(0, next)) * MINUTE_MS)
  const most = roundUp(Math.max(...counts))
  const timeOf = (minute: number) => formatMinute(startMs + minute * MINUTE_MS)
  const ofPart =
    part && partName !== undefined ? `, ${formatCount(part.counts[place] ?? 0)} of them ${partName}` : ''
  const reading = `${timeOf(place)} · ${plural(counts[place]!, 'page view')}${ofPart}`

  function pressKey(event: KeyboardEvent) {
    const next = KEYS[event.key]?.(place)
    if (next === undefined) return
    event.preventDefault()
    choose(next)
  }
  function point({ currentTarget, clientX }: PointerEvent) {
    const { left, width } = currentTarget.getBoundingClientRect()
    choose(Math.floor(((clientX - left) / width) * SHOWN))
  }

  return (
    <Box>
      <Box sx={{ display: 'flex', justifyContent: 'space-between', mb: 0.5 }}>
        <Typography variant="caption" color="textSecondary" title={formatCount(most)}>
          {formatShortCount(most)}
        </Typography>
        <Typography variant="caption" data-reading>
          {reading}
        </Typography>
      </Box>
      <Box
        role="slider"
        tabIndex={0}
        aria-label="Page views by minute"
        aria-valuemin={0}
        aria-valuemax={SHOWN - 1}
        aria-valuenow={place}
        aria-valuetext={reading}
        onKeyDown={pressKey}
        onPointerMove={point}
        onPointerDown={point}
        sx={{
          height: HEIGHT_PX,
          borderTop: 1,
          borderBottom: 1,
          borderColor: 'line',
          touchAction: 'pan-y',
          cursor: 'crosshair',
        }}
      >
        <Box
          component="svg"
          aria-hidden
          viewBox={`0 0 ${SHOWN} ${HEIGHT_PX}`}
          preserveAspectRatio="none"
          sx={({ vars }) => ({
            display: 'block',
            width: '100%',
            height: '100%',
            '& .whole': { fill: vars!.palette.tones[part ? 'neutral' : 'active'].bar },
            '& .part': { fill: vars!.palette.tones.active.bar },
            '& .cursor': { fill: vars!.palette.ground },
          })}
        >
          <rect className="cursor" x={place} y={0} width={1} height={HEIGHT_PX} />
          <Bars className="whole" counts={counts} most={most} />
          {part && <Bars className="part" counts={part.counts} most={most} />}
        </Box>
      </Box>
      <Box aria-hidden sx={{ position: 'relative', height: 20, mt: 0.25 }}>
        {Array.from({ length: SHOWN / LABEL_EVERY }, (_, n) => n * LABEL_EVERY).map((minute) => (
          <Typography
            key={minute}
            variant="caption"
            color="textSecondary"
            sx={{ position: 'absolute' }}
            style={{ left: `${(100 * minute) / SHOWN}%` }}
          >
            {timeOf(minute)}
          </Typography>
        ))}
      </Box>
    </Box>
  )
}

/** Where a key leads to from a minute, as on any slider. */
const KEYS: Record<string, (place: number) => number> = {
  ArrowLeft: (place) => place - 1,
  ArrowDown: (place) => place - 1,
  ArrowRight: (place) => place + 1,
  ArrowUp: (place) => place + 1,
  PageDown: (place) => place - 10,
  PageUp: (place) => place + 10,
  Home: () => 0,
  End: () => SHOWN - 1,
}

function Bars({ className, counts, most }: { className: string; counts: readonly number[]; most: number }) {
  return counts.map((count, minute) => {
    // One among millions is seen all the same.
    const height = count === 0 ? 0 : Math.max(1.5, (HEIGHT_PX * count) / most)
    return (
      <rect
        // biome-ignore lint/suspicious/noArrayIndexKey: a place is what a bar is
        key={minute}
        className={className}
        x={minute + 0.12}
        y={HEIGHT_PX - height}
        width={0.76}
        height={height}
      />
    )
  })
}
