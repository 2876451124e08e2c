import Box from '@mui/material/Box'
import type { SvgIconProps } from '@mui/material/SvgIcon'
import type { ComponentType } from 'react'
import type { JobStatus } from '../api/types.ts'
import { BanIcon, CheckIcon, FailIcon, RunIcon, WaitIcon } from '../shell/icons.tsx'
import { STATUS_LABELS } from './job-texts.ts'

const LOOKS: Record<
  JobStatus,
  { tone: 'neutral' | 'active' | 'good' | 'bad'; Icon: ComponentType<SvgIconProps> }
> = {
  pending: { tone: 'neutral', Icon: WaitIcon },
  processing: { tone: 'active', Icon: RunIcon },
  completed: { tone: 'good', Icon: CheckIcon },
  failed: { tone: 'bad', Icon: FailIcon },
  cancelled: { tone: 'neutral', Icon: BanIcon },
}

export const toneOf = (status: JobStatus) => LOOKS[status].tone

/** A status as icon, word and colour; never as colour alone. */
export function StatusChip({ status }: { status: JobStatus }) {
  const { tone, Icon } = LOOKS[status]
  return (
    <Box
      component="span"
      sx={({ vars }) => ({
        display: 'inline-flex',
        alignItems: 'center',
        gap: 0.5,
        pl: 0.5,
        pr: 1,
        py: 0.25,
        borderRadius: 10,
        fontSize: '0.75rem',
        fontWeight: 600,
        whiteSpace: 'nowrap',
        color: vars!.palette.tones[tone].text,
        bgcolor: vars!.palette.tones[tone].tint,
      })}
    >
      <Icon sx={{ fontSize: 16 }} />
      {STATUS_LABELS[status]}
    </Box>
  )
}
