import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import IconButton from '@mui/material/IconButton'
import Paper from '@mui/material/Paper'
import Stack from '@mui/material/Stack'
import Tooltip from '@mui/material/Tooltip'
import Typography from '@mui/material/Typography'
import { formatBytes, percentOf } from '../format.ts'
import { Bar } from '../shell/bar.tsx'
import { CloseIcon, FailIcon, FileIcon } from '../shell/icons.tsx'
import { speedOf, type UploadItem, type UploadQueue } from './upload-queue.ts'

interface UploadListProps {
  queue: UploadQueue
  onCancel: (id: string) => void
  onRetry: (id: string) => void
}

/** Files on their way, each with its bytes, until it has become a job. */
export function UploadList({ queue, onCancel, onRetry }: UploadListProps) {
  if (queue.length === 0) return null
  return (
    <Stack component="ul" aria-label="Uploads" sx={{ listStyle: 'none', m: 0, p: 0, gap: 1 }}>
      {queue.map((item) => (
        <Paper key={item.id} component="li" variant="outlined" sx={{ borderColor: 'line', px: 2, py: 1.25 }}>
          <Stack direction="row" sx={{ gap: 1.5, alignItems: 'center' }}>
            {item.state === 'failed' ? (
              <FailIcon color="error" />
            ) : (
              <FileIcon sx={{ color: 'text.secondary' }} />
            )}
            <Box sx={{ flex: 1, minWidth: 0 }}>
              <Typography sx={{ fontWeight: 600, overflowWrap: 'anywhere' }}>{item.filename}</Typography>
              {item.state === 'failed' ? <Reason item={item} /> : <Sending item={item} />}
            </Box>
            {item.state === 'failed' && (
              <Button
                size="small"
                variant="outlined"
                aria-label={`Retry the upload of ${item.filename}`}
                onClick={() => onRetry(item.id)}
              >
                Retry
              </Button>
            )}
            <Remove item={item} onCancel={onCancel} />
          </Stack>
        </Paper>
      ))}
    </Stack>
  )
}

function Remove({ item, onCancel }: { item: UploadItem; onCancel: (id: string) => void }) {
  const isFailed = item.state === 'failed'
  return (
    <Tooltip title={isFailed ? 'Dismiss' : 'Cancel'} describeChild>
      <IconButton
        size="small"
        aria-label={isFailed ? `Dismiss ${item.filename}` : `Cancel the upload of ${item.filename}`}
        onClick={() => onCancel(item.id)}
      >
        <CloseIcon fontSize="small" />
      </IconButton>
    </Tooltip>
  )
}

function Sending({ item }: { item: UploadItem }) {
  const { state, sentBytes, sizeBytes, filename } = item
  const percent = percentOf(sentBytes, sizeBytes)
  const isStoring = state === 'settling'
  const speed = speedOf(item, Date.now())
  const text = `${formatBytes(sentBytes)} of ${formatBytes(sizeBytes)}`
  return (
    <>
      <Box sx={{ my: 0.75 }}>
        <Bar
          label={`Upload of ${filename}`}
          percent={isStoring ? undefined : state === 'waiting' ? 0 : percent}
          text={isStoring ? 'All sent, being stored' : text}
          parts={[{ tone: 'active', share: sentBytes / Math.max(1, sizeBytes) }]}
        />
      </Box>
      <Stack direction="row" sx={{ justifyContent: 'space-between', gap: 1 }}>
        <Typography variant="caption" color="textSecondary">
          {state === 'waiting'
            ? `Waiting · ${formatBytes(sizeBytes)}`
            : isStoring
              ? 'All sent, being stored …'
              : text}
          {speed !== undefined && ` · ${formatBytes(speed)}/s`}
        </Typography>
        {state === 'sending' && (
          <Typography variant="caption" color="textSecondary" sx={{ whiteSpace: 'nowrap' }}>
            {percent} %
          </Typography>
        )}
      </Stack>
    </>
  )
}

function Reason({ item: { reason } }: { item: UploadItem }) {
  return (
    <Box sx={{ color: 'error.main', fontSize: '0.8125rem', overflowWrap: 'anywhere' }}>
      {reason?.title}
      {reason && reason.faults.length > 0 && (
        <Box component="ul" sx={{ m: 0, pl: 2.5 }}>
          {reason.faults.map((fault) => (
            <li key={fault}>{fault}</li>
          ))}
        </Box>
      )}
    </Box>
  )
}
