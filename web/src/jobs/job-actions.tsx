import IconButton from '@mui/material/IconButton'
import Stack from '@mui/material/Stack'
import Tooltip from '@mui/material/Tooltip'
import { useMutation } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { tellShortly } from '../api/problem.ts'
import { useSession } from '../api/session.ts'
import { isActive, type Job } from '../api/types.ts'
import { RetryIcon, StopIcon, TrashIcon } from '../shell/icons.tsx'
import { useNotices } from '../shell/notices.tsx'
import { DeleteDialog } from './delete-dialog.tsx'

export interface JobActionsProps {
  job: Job
  onChanged: (job: Job) => void
  onDeleted: (job: Job) => void
}

/** What can be done with a job in its state. */
export function JobActions({ job, onChanged, onDeleted }: JobActionsProps) {
  const { api } = useSession()
  const { show } = useNotices()
  const [isDeleting, setIsDeleting] = useState(false)
  const act = useMutation({
    mutationFn: (action: 'cancel' | 'retry') =>
      action === 'cancel' ? api.cancelJob(job.id) : api.retryJob(job.id),
    onSuccess: onChanged,
    onError: (error, action) =>
      show(`${job.filename}: ${action} was not possible. ${tellShortly(error)}`, 'error'),
  })
  const canRetry = job.status === 'failed' || job.status === 'cancelled'
  return (
    <Stack direction="row" sx={{ justifyContent: 'flex-end' }}>
      {isActive(job) && (
        <Action title="Cancel" of={job} isBusy={act.isPending} onClick={() => act.mutate('cancel')}>
          <StopIcon fontSize="small" />
        </Action>
      )}
      {canRetry && (
        <Action title="Retry" of={job} isBusy={act.isPending} onClick={() => act.mutate('retry')}>
          <RetryIcon fontSize="small" />
        </Action>
      )}
      {!isActive(job) && (
        <Action title="Delete" of={job} isBusy={false} onClick={() => setIsDeleting(true)}>
          <TrashIcon fontSize="small" />
        </Action>
      )}
      <DeleteDialog
        job={job}
        isOpen={isDeleting}
        onClose={() => setIsDeleting(false)}
        onDeleted={() => {
          setIsDeleting(false)
          show(`${job.filename} was deleted.`)
          onDeleted(job)
        }}
      />
    </Stack>
  )
}

interface ActionProps {
  title: string
  of: Job
  isBusy: boolean
  onClick: () => void
  children: ReactNode
}

function Action({ title, of, isBusy, onClick, children }: ActionProps) {
  return (
    <Tooltip title={title} describeChild>
      <IconButton
        aria-label={`${title} ${of.filename}`}
        loading={isBusy}
        onClick={onClick}
        sx={{ color: 'text.secondary' }}
      >
        {children}
      </IconButton>
    </Tooltip>
  )
}
