import Alert from '@mui/material/Alert'
import Button from '@mui/material/Button'
import Checkbox from '@mui/material/Checkbox'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogContentText from '@mui/material/DialogContentText'
import DialogTitle from '@mui/material/DialogTitle'
import FormControlLabel from '@mui/material/FormControlLabel'
import { useMutation } from '@tanstack/react-query'
import { useId, useState } from 'react'
import { tellShortly } from '../api/problem.ts'
import { useSession } from '../api/session.ts'
import type { Job } from '../api/types.ts'
import { plural } from '../format.ts'

interface DeleteDialogProps {
  job: Job
  isOpen: boolean
  onClose: () => void
  onDeleted: () => void
}

/** Asks before a job is deleted, and whether what it imported goes with it. */
export function DeleteDialog({ job, isOpen, onClose, onDeleted }: DeleteDialogProps) {
  const { api } = useSession()
  const [withRows, setWithRows] = useState(false)
  const titleId = useId()
  const textId = useId()
  const remove = useMutation({ mutationFn: () => api.deleteJob(job.id, withRows), onSuccess: onDeleted })
  function close() {
    if (remove.isPending) return
    remove.reset()
    setWithRows(false)
    onClose()
  }
  return (
    <Dialog open={isOpen} onClose={close} aria-labelledby={titleId} aria-describedby={textId}>
      <DialogTitle id={titleId} sx={{ overflowWrap: 'anywhere' }}>
        Delete {job.filename}?
      </DialogTitle>
      <DialogContent>
        <DialogContentText id={textId}>
          The job, its file and its error report are removed. This cannot be undone.
          {job.successCount > 0 && !withRows && ' The rows that it has imported stay.'}
        </DialogContentText>
        {job.successCount > 0 && (
          <FormControlLabel
            sx={{ mt: 1 }}
            control={<Checkbox checked={withRows} onChange={(_event, checked) => setWithRows(checked)} />}
            label={`Also remove the ${plural(job.successCount, 'imported row')}`}
          />
        )}
        {remove.error && (
          <Alert severity="error" sx={{ mt: 2 }}>
            {tellShortly(remove.error)}
          </Alert>
        )}
      </DialogContent>
      <DialogActions>
        <Button autoFocus onClick={close}>
          Keep it
        </Button>
        <Button color="error" variant="contained" loading={remove.isPending} onClick={() => remove.mutate()}>
          Delete
        </Button>
      </DialogActions>
    </Dialog>
  )
}
