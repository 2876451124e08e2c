import Box from '@mui/material/Box'
import type { LiveStatus } from './live-status.ts'

const LOOKS: Record<LiveStatus, { label: string; title: string; tone: 'good' | 'neutral' | 'active' }> = {
  connecting: { label: 'Connecting', title: 'The live view is being opened.', tone: 'neutral' },
  live: { label: 'Live', title: 'Changes show as they happen.', tone: 'good' },
  reconnecting: {
    label: 'Reconnecting',
    title: 'The live view was lost and is being opened again.',
    tone: 'active',
  },
  polling: {
    label: 'Polling',
    title: 'The live view cannot be had. While imports run, they are asked for every 3 seconds.',
    tone: 'active',
  },
}

/** How fresh what is shown is. */
export function LiveBadge({ status }: { status: LiveStatus }) {
  const { label, title, tone } = LOOKS[status]
  return (
    <Box
      component="span"
      title={title}
      data-live={status}
      sx={{
        display: 'inline-flex',
        alignItems: 'center',
        gap: 0.75,
        fontSize: '0.75rem',
        fontWeight: 600,
        color: 'text.secondary',
      }}
    >
      <Box
        component="span"
        sx={({ vars }) => ({
          width: 8,
          height: 8,
          borderRadius: 4,
          bgcolor: status === 'live' ? vars!.palette.tones[tone].bar : 'transparent',
          border: 2,
          borderColor: vars!.palette.tones[tone].bar,
        })}
      />
      {label}
    </Box>
  )
}
